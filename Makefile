# The commands of this project. `make` alone lists them.

# Where cargo puts what it builds.
TARGET := $(or $(CARGO_TARGET_DIR),target)

.PHONY: help serve test clients schemathesis bench fmt lint

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

serve: ## build in release mode and serve, with a PostgreSQL of its own unless DATABASE_URL is set
	@[ -n "$$DATABASE_URL" ] || grep -qs '^DATABASE_URL=.' .env || scripts/ensure-postgres.sh
	cargo build --release
	@exec $(TARGET)/release/user-management serve

test: ## run the whole test suite on a throw-away PostgreSQL, or on that of TEST_DATABASE_URL
	@scripts/ensure-postgres.sh
	@scripts/ensure-browser.sh
	cargo test

clients: ## run clients of the older APIs and stock OAuth2 clients (needs Python, Node and the network)
	@scripts/ensure-postgres.sh
	cargo build
	@scripts/clients.sh $(TARGET)/debug/user-management

schemathesis: ## try the API with requests made from its OpenAPI document (needs Python and the network)
	@scripts/ensure-postgres.sh
	cargo build
	@scripts/schemathesis.sh $(TARGET)/debug/user-management

bench: ## measure speed and memory, beside the machine's limits
	@scripts/ensure-postgres.sh
	cargo bench

fmt: ## format the sources
	cargo fmt

lint: ## check format, lints and documentation; warnings are errors
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc --no-deps --document-private-items
