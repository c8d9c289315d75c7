"""From the tree of an expression to a function of the data.

Every part becomes one closure, so that evaluating looks nothing up. A start of a path is called with the
environment and ``$this``; a step also with the collection it is applied to.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple, TypeAlias

from . import conversion, filtering, model, reckoning, text, weights
from .filtering import where
from .nodes import Collection, ExpressionFailed, Navigator, Node, is_of_type
from .operators import OPERATORS, Operator, negate, union
from .registry import FUNCTIONS, Environment, Function, Start, nearest, one_integer
from .syntax import Call, Chain, Index, Literal, Member, Path, Sign, Special, Tree, TypeName, Variable

__all__ = ["compile_tree"]

Step: TypeAlias = Callable[[Environment, Collection, Collection], Collection]

#: The pages that declare functions; importing them fills the table.
_DECLARING: Final = (conversion, filtering, reckoning, text, weights)

#: Functions that exist elsewhere and that are not run here, with the reason.
_REFUSED: Final = {
    "resolve": "nothing is fetched while an expression runs",
    "memberOf": "value sets are not looked up while an expression runs",
    "subsumes": "code systems are not looked up while an expression runs",
    "subsumedBy": "code systems are not looked up while an expression runs",
    "validateVS": "value sets are not looked up while an expression runs",
    "translate": "concept maps are not looked up while an expression runs",
    "elementDefinition": "profiles are not known here",
    "slice": "profiles are not known here",
    "checkModifiers": "profiles are not known here",
    "htmlChecks": "narratives are not checked here",
    "defineVariable": "variables are declared on the questionnaire",
    "repeatAll": "it ends only where the data make it end; repeat() does the same and always ends",
}

#: Values that are always there.
_PREDEFINED: Final = {
    "ucum": "http://unitsofmeasure.org",
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
}
_PREFIXED: Final = {
    "vs-": "http://hl7.org/fhir/ValueSet/",
    "ext-": "http://hl7.org/fhir/StructureDefinition/",
}


def compile_tree(tree: Tree) -> Start:
    """Turn a tree into a function; raise ExpressionInvalid for what it calls that does not exist or must not run."""
    match tree:
        case Literal():
            values = list(tree.values)
            return lambda env, this: values
        case Variable():
            return _variable(tree)
        case Special():
            return _special(tree)
        case Path():
            return _path(tree)
        case Sign():
            operand, operator = compile_tree(tree.operand), tree.operator
            return lambda env, this: negate(operand(env, this), operator)
        case Chain():
            return _chain(tree)
        case TypeName():
            raise tree.place.refusal("a type name stands where a value is expected")


def _variable(tree: Variable) -> Start:
    name = tree.name
    known = _PREDEFINED.get(name)
    for prefix, url in _PREFIXED.items():
        if name.startswith(prefix):
            known = url + name.removeprefix(prefix)

    def run(env: Environment, this: Collection) -> Collection:
        found = env.variables.get(name)
        if found is not None:
            return found
        if known is not None:
            return [known]
        raise ExpressionFailed(f"no variable %{name[:80]} is defined{nearest(name, env.variables)}")

    return run


def _special(tree: Special) -> Start:
    if tree.name == "$this":
        return lambda env, this: this
    if tree.name == "$index":
        return lambda env, this: [env.index]

    def total(env: Environment, this: Collection) -> Collection:
        if env.total is None:
            raise ExpressionFailed("$total has a value only inside aggregate()")
        return env.total

    return total


def _chain(tree: Chain) -> Start:
    constant = _constant(tree)
    if constant is not None:
        return lambda env, this: constant
    first = compile_tree(tree.first)
    rest: list[tuple[Operator, Start]] = []
    for operator, operand in tree.rest:
        if isinstance(operand, TypeName):
            rest.append((_type_operator(operator, _resolved(operand)), _nothing))
        else:
            rest.append((OPERATORS[operator], compile_tree(operand)))
    if len(rest) == 1:
        operate, second = rest[0]

        def once(env: Environment, this: Collection) -> Collection:
            env.spend(1)
            return operate(env, first(env, this), second(env, this))

        return once

    def run(env: Environment, this: Collection) -> Collection:
        found = first(env, this)
        env.spend(len(rest))
        for operate, operand in rest:
            found = operate(env, found, operand(env, this))
        return found

    return run


def _nothing(env: Environment, this: Collection) -> Collection:
    return []


def _type_operator(name: str, type_: TypeName) -> Operator:
    test = FUNCTIONS[name].run
    return lambda env, left, right: test(env, left, type_)


def _constant(tree: Tree) -> Collection | None:
    """Give the items of a literal or of a union of literals; None for anything else."""
    if isinstance(tree, Literal):
        return list(tree.values)
    if not isinstance(tree, Chain) or any(operator != "|" for operator, _ in tree.rest):
        return None
    found: Collection = []
    for part in (tree.first, *(operand for _, operand in tree.rest)):
        values = _constant(part)
        if values is None:
            return None
        found = union(Environment({}, None), found, values)
    return found


def _path(tree: Path) -> Start:
    steps = [_step(step) for step in tree.steps]
    if tree.start is not None:
        start = compile_tree(tree.start)
    else:
        start = _special(Special(tree.place, "$this"))
        if isinstance(tree.steps[0], Member):
            steps[0] = _root(tree.steps[0])

    def run(env: Environment, this: Collection) -> Collection:
        found = start(env, this)
        for step in steps:
            found = step(env, this, found)
        return found

    return run


def _step(step: Member | Call | Index | Special) -> Step:
    match step:
        case Member():
            return _member(step.name)
        case Call():
            return _call(step)
        case Index():
            return _index(step)
        case Special():
            special = _special(step)
            return lambda env, this, items: special(env, this)


def _member(name: str) -> Step:
    navigate = Navigator(name)

    def run(env: Environment, this: Collection, items: Collection) -> Collection:
        found = navigate(items)
        env.spend(1 + len(items) + len(found))
        return found

    return run


def _root(step: Member) -> Step:
    """The first name of a path may be the type of what it is applied to."""
    name = step.name
    navigate = _member(name)
    if not model.is_known(name) or "." in name:
        return navigate

    def run(env: Environment, this: Collection, items: Collection) -> Collection:
        named = [item for item in items if item.__class__ is Node and is_of_type(item, "FHIR", name)]
        return named or navigate(env, this, items)

    return run


def _index(step: Index) -> Step:
    position = compile_tree(step.position)

    def run(env: Environment, this: Collection, items: Collection) -> Collection:
        at = one_integer(position(env, this), "[ ]")
        return [] if at is None or at < 0 else items[at : at + 1]

    return run


def _call(step: Call) -> Step:
    known = FUNCTIONS.get(step.name)
    if known is None:
        if step.name in _REFUSED:
            raise step.place.refusal(f"{step.name}() is not run here: {_REFUSED[step.name]}")
        raise step.place.refusal(f"no function is called '{step.name[:80]}'{nearest(step.name, FUNCTIONS)}")
    if not known.accepts(len(step.arguments)):
        raise step.place.refusal(f"{step.name}() does not take {len(step.arguments)} arguments")
    arguments = [_argument(known, step, position) for position in range(len(step.arguments))]
    run = known.run
    if step.name in ("where", "exists") and arguments:
        test = _member_test(step.arguments[0])
        if test is not None:
            pick = _picking(test, arguments[0])
            return pick if step.name == "where" else lambda env, this, items: [bool(pick(env, this, items))]
    if step.name == "repeat" and (name := _only_name(step.arguments[0])) is not None:
        return _remembering(("repeat", name), run, arguments[0])
    if not arguments:
        return lambda env, this, items: run(env, items)
    if all(known.kind(position) in ("each", "type", "key") for position in range(len(arguments))):
        if len(arguments) == 1:
            only = arguments[0]
            return lambda env, this, items: run(env, items, only)
        return lambda env, this, items: run(env, items, *arguments)
    makers = [_maker(known.kind(position), argument) for position, argument in enumerate(arguments)]
    return lambda env, this, items: run(env, items, *(make(env, this) for make in makers))


class _MemberTest(NamedTuple):
    """A comparison of one textual member with fixed texts, so simple that it can be made on the JSON itself."""

    member: str
    texts: frozenset[str]
    wanted: bool


def _member_test(tree: Tree) -> _MemberTest | None:
    """Recognise ``linkId = 'x'``, ``!=``, ``in``, and several of one kind joined by ``or`` (``and`` for ``!=``)."""
    if not isinstance(tree, Chain):
        return None
    joint = tree.rest[-1][0]
    if joint in ("or", "and"):
        # What is joined first stands in the chain itself: "a = b or c = d" is a, "= b", "or (c = d)".
        ours = next(at for at, (operator, _) in enumerate(tree.rest) if operator == joint)
        leading = Chain(tree.place, tree.first, tree.rest[:ours]) if ours else tree.first
        tests = [_member_test(part) for part in (leading, *(operand for _, operand in tree.rest[ours:]))]
        first = tests[0]
        if first is None or any(operator != joint for operator, _ in tree.rest[ours:]):
            return None
        if any(test is None or test[::2] != first[::2] for test in tests) or first.wanted != (joint == "or"):
            return None
        return _MemberTest(first.member, frozenset().union(*(test.texts for test in tests if test)), first.wanted)
    name = _only_name(tree.first)
    if len(tree.rest) != 1 or joint not in ("=", "!=", "in") or name is None:
        return None
    texts = _constant(tree.rest[0][1])
    if not texts or not all(isinstance(text, str) for text in texts) or (joint != "in" and len(texts) > 1):
        return None
    return _MemberTest(name, frozenset(texts), joint != "!=") if model.spelt_freely(name) else None


def _only_name(tree: Tree) -> str | None:
    """Give the name of a path of one step to a member; None for anything else."""
    match tree:
        case Path(start=None, steps=(Member() as only,)):
            return only.name
        case _:
            return None


def _picking(test: _MemberTest, criteria: Start) -> Step:
    """Make a filter that decides on the JSON where it can, and by the criteria where it cannot."""
    name, texts, wanted = test
    plain: dict[str | None, bool] = {}

    def run(env: Environment, this: Collection, items: Collection) -> Collection:
        env.spend(1 + (len(items) >> 2))
        found: Collection = []
        for item in items:
            if item.__class__ is Node and item.value.__class__ is dict:
                text = item.value.get(name)
                if text.__class__ is str:
                    is_plain = plain.get(item.type)
                    if is_plain is None:
                        is_plain = plain[item.type] = model.is_plain_text(item.type, name)
                    if is_plain:
                        if (text in texts) is wanted:
                            found.append(item)
                        continue
            found.extend(where(env, [item], criteria))
        return found

    return run


def _remembering(name: tuple[str, str], run: Callable[..., Collection], projection: Start) -> Step:
    """Make a repeat() along one member that is remembered where the data are asked again and again."""

    def repeated(env: Environment, this: Collection, items: Collection) -> Collection:
        memo = items[0].memo if len(items) == 1 and items[0].__class__ is Node else None
        if memo is None:
            return run(env, items, projection)
        known = memo.get(name)
        if known is None:
            known = memo[name] = run(env, items, projection)
        env.spend(1 + (len(known) >> 4))
        return known

    return repeated


def _argument(known: Function, step: Call, position: int) -> Any:
    tree = step.arguments[position]
    kind = known.kind(position)
    if kind == "type":
        return _resolved(_as_type_name(tree))
    if kind == "key":
        if isinstance(tree, Sign) and tree.operator == "-":
            return compile_tree(tree.operand), "-"
        return compile_tree(tree), "desc" if position in step.descending else ""
    return compile_tree(tree)


def _maker(kind: str, argument: Any) -> Callable[[Environment, Collection], Any]:
    if kind == "value":
        maker: Callable[[Environment, Collection], Any] = argument
        return maker
    if kind == "lazy":
        return lambda env, this: lambda: argument(env, this)
    return lambda env, this: argument


def _as_type_name(tree: Tree) -> TypeName:
    match tree:
        case Path(start=None, steps=(Member() as only,)):
            return TypeName(tree.place, None, only.name)
        case Path(start=None, steps=(Member() as space, Member() as name)):
            return TypeName(tree.place, space.name, name.name)
    raise tree.place.refusal("a type name is expected here")


def _resolved(type_: TypeName) -> TypeName:
    """Refuse the name of a type that does not exist in FHIR R4 or in the language."""
    if type_.namespace not in (None, "FHIR", "System"):
        raise type_.place.refusal("a type is of FHIR or of System")
    if type_.namespace != "System" and type_.name not in model.named_types():
        raise type_.place.refusal(f"no type is called '{type_.name[:80]}'{nearest(type_.name, model.named_types())}")
    return type_
