# Everything a newcomer needs: `make run`, `make test`, `make bench`.
.PHONY: run test kernel bench fuzz plugins lint deb help

help:
	@echo "make run    build, and start three quarters with simulated devices"
	@echo "make test   formatting, lints, licences, all tests"
	@echo "make kernel what a kernel may lack, under Debian's in QEMU: netem, MemoryMax (nightly)"
	@echo "make bench  the ratio table against mosquitto"
	@echo "make deb    Debian packages of city and box, in target/deb"
	@echo "make fuzz   broker: packets and connections, seconds=600 each (nightly Rust)"

# Where cargo puts what it builds.
built = $${CARGO_TARGET_DIR:-target}

# Crates outside the workspace, for wasm32; their rules are checked natively, in one target folder.
guests = $(wildcard $(patsubst %,plugins/%/Cargo.toml,sdk energy mobility health science))
each_guest = set -e; for crate in $(guests); do
guest_flags = --locked --manifest-path $$crate --target-dir plugins/target/native

run:
	deploy/setup run
	$(MAKE) --no-print-directory plugins
	$(built)/debug/quartier demo

# One selection of packages for every build: another one would compile the dependencies again.
plugins:
	cargo build --workspace --bins
	QUARTIER_COMPONENTIZE=$(built)/debug/componentize plugins/build

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	$(each_guest) cargo fmt --check --manifest-path $$crate; done
	$(each_guest) cargo clippy $(guest_flags) --all-targets -- -D warnings; done
	cargo deny --log-level error check licenses bans sources
	deploy/advisories

test:
	deploy/setup test
	$(MAKE) --no-print-directory plugins
	$(MAKE) --no-print-directory lint
	$(each_guest) cargo test $(guest_flags); done
	cargo test --workspace

# The tests of a box's links, packages and unit once more, over real netem and with a limit of memory.
of_kernel = edge_links edge_packages packages::a_real_systemd
kernel:
	deploy/setup kernel
	$(MAKE) --no-print-directory plugins
	mkdir -p $(built)/packages && deploy/debian/clean $(built)/packages $(built)/packages/booted
	set -e; tests=$$(cargo test --workspace --test all --no-run --message-format=json | \
	jq -r 'select(.target.name == "all") | .executable // empty'); \
	cd tests; QUARTIER_LINK=netem ../deploy/vm "$$tests" $(of_kernel) --test-threads=1

bench:
	deploy/setup bench
	$(MAKE) --no-print-directory plugins
	cargo build --workspace --bins --release
	cargo build --package quartier-edge --profile edge
	QUARTIER_EDGE_BIN=$(built)/edge/quartier-edge $(built)/release/bench

# version=0.1.0-2 make deb
version ?= 0.1.0-1
deb:
	deploy/setup run
	deploy/debian/build $(version) $(built)/deb

# A few thousand inputs of the same run in `make test`. No sanitizer: the broker forbids unsafe, and
# twice as many inputs fit into the time.
seconds ?= 600
fuzz:
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cargo +nightly fuzz run --sanitizer none --fuzz-dir broker/fuzz packet -- -max_total_time=$(seconds)
	cargo +nightly fuzz run --sanitizer none --fuzz-dir broker/fuzz connection -- -max_total_time=$(seconds)
