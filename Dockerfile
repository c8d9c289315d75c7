# The product as one image: the API, the worker and the migrations are commands of it.
FROM python:3.11-slim AS build

WORKDIR /app
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1

# The locked packages change seldom, so they are a layer of their own.
COPY requirements/run.txt requirements/run.txt
RUN pip install --require-hashes --requirement requirements/run.txt

COPY pyproject.toml README.md LICENSE ./
COPY kpro_graph kpro_graph
RUN pip install --no-deps --no-build-isolation .

FROM python:3.11-slim

# A number as well as a name, so that an orchestrator can see that it is not root.
RUN groupadd --system --gid 10001 kpro && useradd --system --uid 10001 --gid kpro --no-create-home kpro
# A new volume takes its owner from the folder it is mounted on: here the worker keeps the signed heads.
RUN install --directory --owner=10001 --group=10001 --mode=0700 /heads

COPY --from=build /venv /venv
COPY deploy/worker_healthy.py /app/deploy/worker_healthy.py
COPY plugins /plugins

ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 KPRO_PLUGINS_DIR=/plugins
WORKDIR /app
USER 10001:10001
EXPOSE 8000
ENTRYPOINT ["kpro"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]
