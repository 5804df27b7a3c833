# One image for gateway, control, mapper, sink and the Storage emulator. Its steps are the Makefile's.
FROM python:3.11-slim-bookworm

RUN apt-get update \
    && apt-get install -y --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home streams \
    && install -d -o streams /var/lib/data-streams

WORKDIR /srv/data-streams
COPY Makefile README.md pyproject.toml requirements.lock ./
COPY scripts scripts
COPY schemas schemas
COPY app app
RUN make environment

# By its number, so that Kubernetes can see that it is not root.
USER 10001
ENV PATH=/srv/data-streams/.venv/bin:$PATH STREAMS_LISTEN_ADDRESS=0.0.0.0
ENTRYPOINT ["streams"]
CMD ["--help"]
