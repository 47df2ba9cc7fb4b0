# A small image with the command line as its entry point. The ledger lives on a volume, so that it outlives the container:
#   docker build -t purgeengine .
#   docker run --rm -v "$PWD:/data:ro" -v purge-ledger:/ledger \
#     -e AZURE_TENANT_ID -e AZURE_CLIENT_ID -e AZURE_CLIENT_SECRET \
#     purgeengine run /data/contacts.csv --ledger /ledger/cleanup --yes
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE ./
COPY purgeengine purgeengine
COPY sample_inputs sample_inputs
RUN python -m venv /opt/purgeengine \
    && /opt/purgeengine/bin/pip install --no-cache-dir -c constraints.txt '.[fast]'

FROM python:3.12-slim
RUN useradd --create-home --uid 10001 purge && mkdir /ledger && chown purge /ledger
COPY --from=build /opt/purgeengine /opt/purgeengine
ENV PATH=/opt/purgeengine/bin:$PATH PYTHONUNBUFFERED=1
USER purge
WORKDIR /ledger
VOLUME /ledger
# Docker stops a container with SIGTERM and kills it after 10 s; a draining run wants up to 30 s: docker stop --time 40
STOPSIGNAL SIGTERM
ENTRYPOINT ["purgeengine"]
CMD ["--help"]
