# A small image with the command line as its entry point. The ledger lives on a volume, so that it outlives the container:
#   docker build --build-arg VERSION=0.1.0 -t purgeengine .
#   docker run --rm -v "$PWD:/data:ro" -v purgeengine-ledger:/ledger \
#     -e AZURE_TENANT_ID -e AZURE_CLIENT_ID -e AZURE_CLIENT_SECRET \
#     purgeengine run /data/contacts.csv --ledger /ledger/cleanup --yes
#
# The base is python:3.13-slim of September 2026 (Python 3.13.15 on Debian 13), pinned by digest: the digest decides, the tag tells people.
# To move to a newer one, pull the tag, look at its digest, and write it into the line below:
#   docker pull python:3.13-slim && docker image inspect --format '{{index .RepoDigests 0}}' python:3.13-slim
# .github/dependabot.yml asks for that where the repository is on GitHub.
FROM python:3.13-slim@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b AS base

FROM base AS build
WORKDIR /src
COPY pyproject.toml constraints.txt README.md CHANGELOG.md LICENSE ./
COPY purgeengine purgeengine
COPY sample_inputs sample_inputs
RUN python -m venv /opt/purgeengine \
    && /opt/purgeengine/bin/pip install --no-cache-dir -c constraints.txt '.[fast]' \
    && /opt/purgeengine/bin/pip uninstall --yes --quiet pip

FROM base
ARG VERSION=unknown
ARG SOURCE=
LABEL org.opencontainers.image.title="purgeengine" \
      org.opencontainers.image.description="Permanently deletes Outlook contacts in bulk through Microsoft Graph, with a ledger of every row" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.source="${SOURCE}" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.base.name="docker.io/library/python:3.13-slim"
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
