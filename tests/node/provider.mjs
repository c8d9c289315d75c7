// A certified OpenID provider for the proofs, on this machine only. Whoever it should sign in next, and at which level,
// is posted to it; so is the order to publish another key. Usage: node provider.mjs CONFIGURATION, a JSON text.
import { createServer } from 'node:http'
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { Provider, interactionPolicy } from 'oidc-provider'

const { port, site, audience, levels } = JSON.parse(process.argv[2])
const issuer = `http://127.0.0.1:${port}`
let person = null
let keys = [key()]

function key() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'RS256', kid: randomUUID() }
}

// Sessions, grants and codes outlive a change of keys.
const kept = new Map()
class Kept {
  constructor(kind) { this.kind = kind }
  name(id) { return `${this.kind}:${id}` }
  async upsert(id, payload) { kept.set(this.name(id), { ...payload }) }
  async find(id) { return kept.get(this.name(id)) }
  async findByUid(uid) {
    return [...kept].find(([name, each]) => name.startsWith('Session:') && each.uid === uid)?.[1]
  }
  async findByUserCode() { return undefined }
  async consume(id) { kept.get(this.name(id)).consumed = Math.floor(Date.now() / 1000) }
  async destroy(id) { kept.delete(this.name(id)) }
  async revokeByGrantId(grant) {
    for (const [name, each] of kept) if (each.grantId === grant) kept.delete(name)
  }
}

// Nobody is asked anything but who they are: consent is the municipality's own. Whoever has not reached a level that is
// asked for signs in again.
const { base, Check } = interactionPolicy
const policy = base()
policy.remove('consent')
policy.get('login').checks.add(new Check('level', 'a higher level is asked for', (ctx) => {
  const wanted = ctx.oidc.params.acr_values?.split(' ') ?? []
  const settled = ctx.oidc.result?.login || wanted.length === 0 || wanted.includes(ctx.oidc.session.acr)
  return settled ? Check.NO_NEED_TO_PROMPT : Check.REQUEST_PROMPT
}))

function make() {
  return new Provider(issuer, {
    adapter: Kept,
    jwks: { keys },
    cookies: { keys: ['for these proofs only'] },
    clients: [
      {
        client_id: 'kpro',
        client_secret: 'a secret of these proofs: /+',
        grant_types: ['authorization_code'],
        redirect_uris: [`${site}/sign-in/mitid/callback`],
        post_logout_redirect_uris: [`${site}/signed-out`],
        backchannel_logout_uri: `${site}/sign-in/mitid/back-channel-logout`,
        backchannel_logout_session_required: true,
      },
      ...['journal', 'brief', 'stranger'].map((name) => ({
        client_id: name,
        client_secret: `a secret of the ${name}`,
        grant_types: ['client_credentials'],
        redirect_uris: [],
        response_types: [],
      })),
    ],
    acrValues: levels,
    claims: { openid: ['sub', 'sid', 'acr'], person: ['cpr', 'name'] },
    scopes: ['openid', 'person'],
    conformIdTokenClaims: false,
    interactions: { policy, url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_ctx, id) => ({
      accountId: id,
      claims: () => ({ sub: id, cpr: person.cpr, name: person.name }),
    }),
    loadExistingGrant: async (ctx) => {
      const { client, session, provider } = ctx.oidc
      const id = ctx.oidc.result?.consent?.grantId ?? session.grantIdFor(client.clientId)
      if (id) return provider.Grant.find(id)
      const grant = new provider.Grant({ accountId: session.accountId, clientId: client.clientId })
      grant.addOIDCScope('openid person')
      await grant.save()
      return grant
    },
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        // The page that asks whether to sign out, as a browser would see it; the proof answers it.
        logoutSource: async (ctx, form) => { ctx.body = form },
      },
      userinfo: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: (_ctx, client) => (client.clientId === 'kpro' ? undefined : audience),
        useGrantedResource: () => true,
        getResourceServerInfo: (_ctx, resource, client) => ({
          scope: 'kpro:answers',
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: client.clientId === 'brief' ? 1 : 300,
          jwt: { sign: { alg: 'RS256' } },
        }),
      },
    },
    ttl: {
      ClientCredentials: (_ctx, token) => token.resourceServer?.accessTokenTTL ?? 300,
      AccessToken: 300,
      IdToken: 300,
      Session: 3600,
      Grant: 3600,
      Interaction: 600,
    },
    // Its own dispatcher reaches no loopback address, which is where everything is here.
    fetch: (url, { dispatcher, ...options }) => fetch(url, options),
  })
}

let provider = make()

async function read(request) {
  let body = ''
  for await (const part of request) body += part
  return JSON.parse(body || '{}')
}

createServer(async (request, response) => {
  try {
    if (request.url === '/proof/person') {
      const told = await read(request)
      person = told.sub ? told : null
      response.end('{}')
    } else if (request.url === '/proof/rotate') {
      keys = [key()]
      provider = make()
      response.end('{}')
    } else if (request.url.startsWith('/interaction/')) {
      const { params } = await provider.interactionDetails(request, response)
      const acr = person?.reaches.includes(params.acr_values) ? params.acr_values : person?.reaches[0]
      const done = person ? { login: { accountId: person.sub, acr } } : { error: 'access_denied' }
      await provider.interactionFinished(request, response, done)
    } else {
      provider.callback()(request, response)
    }
  } catch (error) {
    console.error(error)
    response.statusCode = 500
    response.end()
  }
}).listen(port, '127.0.0.1', () => console.log(JSON.stringify({ issuer })))
