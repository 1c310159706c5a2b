# The commands of this project; each is a script or a line of cargo that can be typed by itself.
.PHONY: help run test guest checklist

help:
	@echo 'make run        occid with real virtual machines on this host (BACKEND=memory: without QEMU; ARGS=...: more flags)'
	@echo 'make test       everything that is checked: format, lints, documentation, tests'
	@echo 'make guest      the demonstration guest alone, in the image directory of this user'
	@echo 'make checklist  each requirement of the standard and its tests'

run:
	@scripts/run $(or $(BACKEND),qemu) $(ARGS)

test:
	@scripts/test

guest:
	@labs/guest/build "$${XDG_DATA_HOME:-$$HOME/.local/share}/occid/images"

checklist:
	@scripts/checklist
