# Everything a newcomer needs: `make run`, `make test`, `make bench`.
.PHONY: run test bench plugins lint help

help:
	@echo "make run    build, and start three quarters with simulated devices"
	@echo "make test   formatting, lints, licences, all tests"
	@echo "make bench  the ratio table against mosquitto"

run: plugins
	cargo run --quiet --bin quartier -- demo

plugins:
	deploy/setup run
	plugins/build

lint:
	cargo fmt --all --check
	cargo fmt --check --manifest-path plugins/health/Cargo.toml
	cargo clippy --workspace --all-targets -- -D warnings
	cargo deny --log-level error check licenses bans sources
	deploy/advisories

test:
	deploy/setup test
	plugins/build
	$(MAKE) --no-print-directory lint
	cargo test --manifest-path plugins/health/Cargo.toml --target-dir plugins/target/native
	cargo build --workspace
	cargo test --workspace

bench:
	deploy/setup bench
	plugins/build
	cargo build --release --bin quartier
	cargo run --release --package quartier-tests --bin bench
