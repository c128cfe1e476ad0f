# Both stages are of the same Debian release, so that the binary finds the C library it was built for.
# Neither stage needs more from Debian than what is here: the C parts are compiled by the builder's
# gcc, without cmake, and templates, migrations and the OpenAPI page are compiled in.

FROM rust:1.95-slim-bookworm AS builder
WORKDIR /build

# The dependencies, in a layer of their own that lasts until Cargo.toml or Cargo.lock change.
# Our own empty crate is built to get them and cleaned away again: Cargo goes by the time of a file,
# and would take what it made of the empty sources for newer than the real ones.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo 'fn main() {}' > src/main.rs \
    && touch src/lib.rs \
    && cargo build --release --locked --bin user-management \
    && cargo clean --release --locked --package user-management \
    && rm -r src

# What is left out stands in .dockerignore.
COPY . .
RUN cargo build --release --locked --bin user-management


FROM debian:bookworm-slim

LABEL org.opencontainers.image.title="User Management" \
      org.opencontainers.image.description="A self-hosted user-management server: one binary and PostgreSQL" \
      org.opencontainers.image.licenses="MIT"

# The authorities that vouch for the mail server and the database. No version: Debian keeps only the
# newest, and that is the one to have.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    # A new volume takes its owner from the directory that it is mounted on.
    && install -d -o 10001 -g 10001 -m 0700 /var/lib/user-management

COPY --from=builder /build/target/release/user-management /usr/local/bin/user-management

# production: without settings the container says what it lacks, rather than look for a PostgreSQL
# of its own, which the image doesn't have. The addresses are those of the container: nobody outside
# reaches them unless they are published. Keep port 9000 (/metrics) private.
ENV ENVIRONMENT=production \
    BIND_ADDRESS=0.0.0.0:8000 \
    OPERATIONS_ADDRESS=0.0.0.0:9000 \
    DATA_DIR=/var/lib/user-management

# A number, so that Kubernetes can see that it isn't root.
USER 10001:10001
WORKDIR /var/lib/user-management
EXPOSE 8000 9000

# Asks /health/ready at BIND_ADDRESS. A container that runs only `worker` has no such address:
# switch the check off there. Docker knows 0 and 1 only.
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s --retries=3 \
    CMD user-management health || exit 1

# SIGTERM drains for at most 10 seconds: give it longer than Docker's 10 (docker stop --time 20).
ENTRYPOINT ["user-management"]
CMD ["serve"]
