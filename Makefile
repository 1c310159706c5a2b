# The commands of this project; each is a script or a line of cargo that can be typed by itself.
.PHONY: help run test bench guest checklist conformance crash

help:
	@echo 'make run        occid with real virtual machines on this host (BACKEND=memory: without QEMU; ARGS=...: more flags)'
	@echo 'make test       everything that is checked: format, lints, documentation, tests'
	@echo 'make bench      what occid costs beside its peers (ARGS=--help: the choices); takes minutes, wants a quiet machine'
	@echo 'make crash      kills occid at every step and at random, and looks for what is lost (ARGS=--help: the choices); takes a quarter of an hour'
	@echo 'make guest      the demonstration guest alone, in the image directory of this user'
	@echo 'make conformance URL=... USER=... PASSWORD_FILE=...   the black-box suite against any server (ARGS=...: more flags)'
	@echo 'make checklist  each requirement of the standard and its tests'

run:
	@scripts/run $(or $(BACKEND),qemu) $(ARGS)

test:
	@scripts/test

bench:
	@scripts/setup run
	@labs/guest/build target/guest
	@cargo build --release --locked -p occi-server --bin occid -p occi-cli --bin occi -p occi-bench --bin occi-bench
	@$(or $(CARGO_TARGET_DIR),target)/release/occi-bench --occid $(or $(CARGO_TARGET_DIR),target)/release/occid --occi $(or $(CARGO_TARGET_DIR),target)/release/occi $(ARGS)

crash:
	@scripts/setup build
	@cargo build --locked -p occi-server --bin occid -p occi-campaign --bin occi-campaign
	@$(or $(CARGO_TARGET_DIR),target)/debug/occi-campaign --occid $(or $(CARGO_TARGET_DIR),target)/debug/occid --report docs/crash-campaign.md $(ARGS)

guest:
	@labs/guest/build "$${XDG_DATA_HOME:-$$HOME/.local/share}/occid/images"

checklist:
	@scripts/checklist

conformance:
	@cargo run -q -p occi-conformance -- --url '$(URL)' $(if $(PASSWORD_FILE),--user '$(USER)' --password-file '$(PASSWORD_FILE)') $(ARGS)
