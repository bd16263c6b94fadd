# psa: predictive sensor analytics as small Unix filters. `make help` lists the targets.
#
# Objects, archives and tests go under $(B) (bin/build/), programs into $(BIN) (bin/). Every room of src/ becomes one archive;
# every src/cmd/NAME.c becomes bin/NAME and links only the archive members it needs. New files need no change here.
#
#   make WERROR=0       warnings stay warnings
#   make V=1            show the commands
#   make OPT=-O0        another optimisation

B   ?= bin/build
BIN ?= bin
OPT ?= -O3
WERROR ?= 1
V ?= 0

PREFIX ?= /usr/local
DESTDIR ?=
FUZZ_SECONDS ?= 60
SUITES ?= all

# ---- flags ------------------------------------------------------------------------------------------------------------
# No -march=native and no floating-point contraction: the same input gives the same bytes on every machine.

PKG_CONFIG ?= pkg-config
COMMA := ,
FFTW_CFLAGS := $(shell $(PKG_CONFIG) --cflags fftw3 2>/dev/null)
FFTW_LIBS   := $(or $(shell $(PKG_CONFIG) --libs fftw3 2>/dev/null),-lfftw3)
NET_CFLAGS  := $(shell $(PKG_CONFIG) --cflags libmosquitto libssl libcrypto libcurl 2>/dev/null)
NET_LIBS    := $(or $(shell $(PKG_CONFIG) --libs libmosquitto libssl libcrypto libcurl 2>/dev/null),-lmosquitto -lssl -lcrypto -lcurl)
SOUND_CFLAGS := $(shell $(PKG_CONFIG) --cflags sndfile 2>/dev/null)
SOUND_LIBS  := $(or $(shell $(PKG_CONFIG) --libs sndfile 2>/dev/null),-lsndfile)
# libiio is loaded when a sensor asks for it (src/sensor/bus_iio.c): only its header is needed here.
# jq 1.6 comes without a pkg-config file.
JQ_LIBS     := $(or $(shell $(PKG_CONFIG) --libs libjq 2>/dev/null),-ljq)
# OpenBLAS without threads where Debian's libopenblas-serial-dev puts it, whichever the system prefers: threads would start with
# the program and gain nothing. Its LAPACK under the static LAPACKE: the shared one would bring the system's BLAS in beside it.
# Only the programs that score and train need the path to it.
MULTIARCH   := $(shell $(CC) -print-multiarch 2>/dev/null)
BLAS_DIR    := $(if $(wildcard /usr/lib/$(MULTIARCH)/liblapacke.a),$(wildcard /usr/lib/$(MULTIARCH)/openblas-serial))
BLAS_PATH    = $(if $(filter-out psa-score psa-train psa-run,$(filter psa-% sensord,$(@F))),,-Wl$(COMMA)-rpath$(COMMA)$(BLAS_DIR))
LAPACK_LIBS  = $(if $(BLAS_DIR),-l:liblapacke.a -L$(BLAS_DIR) $(BLAS_PATH) -lopenblas,-llapacke -lopenblas)
I2C_LIBS    := $(or $(shell $(PKG_CONFIG) --libs i2c 2>/dev/null),-li2c)
CMOCKA_LIBS := $(or $(shell $(PKG_CONFIG) --libs cmocka 2>/dev/null),-lcmocka)

WARN_ALL = -Wall -Wextra -Wshadow -Wvla $(if $(filter 1,$(WERROR)),-Werror)
WARN_C   = $(WARN_ALL) -Wstrict-prototypes
WARN_SRC = -Wconversion -Wmissing-prototypes

# Where long has 32 bits: a time_t that outlives 2038, files beyond 2 GiB, atomic 64-bit numbers (libatomic, where gcc asks it).
WIDE_FLAGS := $(if $(filter __LP64__,$(shell echo __LP64__ | $(CC) $(CFLAGS) -E -P -xc - 2>/dev/null)),-D_FILE_OFFSET_BITS=64 -D_TIME_BITS=64)
WIDE_LIBS   = $(if $(WIDE_FLAGS),-latomic)

COMMON = -D_GNU_SOURCE $(WIDE_FLAGS) $(OPT) -g -ffp-contract=off -fno-math-errno -ffunction-sections -fdata-sections \
	$(if $(SANITIZE),-fsanitize=$(SANITIZE) -fno-omit-frame-pointer -fno-sanitize-recover=all)
C_FLAGS   = -std=c11 $(COMMON) $(WARN_C) -Isrc $(FFTW_CFLAGS) $(NET_CFLAGS) $(SOUND_CFLAGS) $(CFLAGS)
CXX_FLAGS = -std=c++17 $(COMMON) $(WARN_ALL) -fno-exceptions -fno-rtti -Isrc $(CXXFLAGS)
# libstdc++ is linked in, so that no program needs libstdc++.so. Not under the sanitizers, which bring their own.
LD_FLAGS  = -Wl,--as-needed $(if $(SANITIZE),-fsanitize=$(SANITIZE),-Wl,--gc-sections -static-libstdc++ -static-libgcc) \
	$(LDFLAGS)
LIBS      = $(FFTW_LIBS) $(NET_LIBS) $(SOUND_LIBS) $(I2C_LIBS) $(JQ_LIBS) $(LAPACK_LIBS) -ldl -lm -lpthread $(WIDE_LIBS)

Q = $(if $(filter 1,$(V)),,@)
say = $(if $(filter 1,$(V)),@:,@printf '  %-4s %s\n' $(1) $@)

# ---- what there is ----------------------------------------------------------------------------------------------------
# In link order: arrows point one way, so each archive refers only to those behind it (tests/lint/arrows.sh).

ROOMS = io spool stage sensor model dsp core

sources  = $(wildcard src/$(1)/*.c src/$(1)/*.cc)
objects  = $(patsubst src/%,$(B)/obj/%.o,$(call sources,$(1)))
ARCHIVES = $(ROOMS:%=$(B)/%.a)
PROGRAMS = $(patsubst src/cmd/%.c,$(BIN)/%,$(wildcard src/cmd/*.c))
UNITS    = $(patsubst tests/unit/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/unit/*/test_*.c))
FUZZERS  = $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
MANUALS  = $(wildcard man/*.[1-8])
PIPELINES = $(wildcard pipelines/*.sh)
UNITFILES = $(wildcard pipelines/systemd/*.service pipelines/systemd/*.target pipelines/systemd/psa-.service.d/*.conf)

.PHONY: all programs units fuzzers deps run test check-asan check-valgrind fuzz bench day prove check-units check-hw lint install uninstall clean help
.SECONDARY:
.DELETE_ON_ERROR:

all: programs ## build every program into bin/ (the default)

programs: $(PROGRAMS)
units: $(UNITS)
fuzzers: $(FUZZERS)

# ---- building ---------------------------------------------------------------------------------------------------------

# Rewritten only when the flags change, so that everything is then built again; the same for the list of objects.
FLAGS_NOW = $(CC) $(CXX) $(C_FLAGS) / $(CXX_FLAGS) / $(LD_FLAGS) $(LIBS)
OBJECTS_NOW = $(sort $(foreach room,$(ROOMS),$(call objects,$(room))))
stamp = $(shell mkdir -p $(B) && printf '%s\n' '$(2)' | cmp -s - $(1) || printf '%s\n' '$(2)' >$(1))

$(B)/flags: FORCE ; $(call stamp,$@,$(FLAGS_NOW))
$(B)/objects: FORCE ; $(call stamp,$@,$(OBJECTS_NOW))
FORCE:

$(B)/deps-ok:
	$(Q)tests/deps.sh check build && mkdir -p $(B) && touch $@

$(B)/obj/%.c.o: src/%.c $(B)/flags | $(B)/deps-ok
	$(call say,cc)
	$(Q)mkdir -p $(@D) && $(CC) $(C_FLAGS) $(WARN_SRC) -MMD -MP -c -o $@ $<

# The script stands in the object, .incbin.
$(B)/obj/io/train_import.c.o: src/tools/import_sklearn.py

$(B)/obj/%.cc.o: src/%.cc $(B)/flags | $(B)/deps-ok
	$(call say,c++)
	$(Q)mkdir -p $(@D) && $(CXX) $(CXX_FLAGS) -Wconversion -MMD -MP -c -o $@ $<

define archive_rule
$(B)/$(1).a: $(call objects,$(1)) $(B)/objects
	$$(Q)mkdir -p $$(@D) && rm -f $$@ && $(AR) rcD $$@ $$(filter %.o,$$^) && $(AR) sD $$@
endef
$(foreach room,$(ROOMS),$(eval $(call archive_rule,$(room))))

$(BIN)/%: $(B)/obj/cmd/%.c.o $(ARCHIVES)
	$(call say,link)
	$(Q)mkdir -p $(@D) && $(CXX) $(LD_FLAGS) -o $@ $^ $(LIBS)

# Tests include src and each other's headers; the two warnings of WARN_SRC are not asked of them.
$(B)/obj/tests/%.o: tests/%.c $(B)/flags
	$(call say,cc)
	$(Q)mkdir -p $(@D) && $(CC) $(C_FLAGS) -Itests/unit -MMD -MP -c -o $@ $<

$(B)/tests/%: $(B)/obj/tests/unit/%.o $(ARCHIVES)
	$(call say,link)
	$(Q)mkdir -p $(@D) && $(CXX) $(LD_FLAGS) -o $@ $^ $(CMOCKA_LIBS) $(LIBS)

# Chips, and worlds that put them on a bus: what the tests of sensord's I2C drivers run against. i2c_world needs umockdev;
# hw/static/ is for the guest of `make check-hw`, which has no libraries.
HW_CHIPS = $(patsubst tests/%.c,$(B)/obj/tests/%.o,$(wildcard tests/hw/chip*.c))
HW_TOOLS = $(if $(shell $(PKG_CONFIG) --modversion umockdev-1.0 2>/dev/null),$(B)/hw/i2c_world)

$(B)/obj/tests/hw/i2c_world.o: private C_FLAGS += $(shell $(PKG_CONFIG) --cflags umockdev-1.0 2>/dev/null)
$(B)/hw/i2c_world: private LIBS = $(shell $(PKG_CONFIG) --libs umockdev-1.0 2>/dev/null) -lm -lpthread

$(B)/hw/%: $(B)/obj/tests/hw/%.o $(HW_CHIPS)
	$(call say,link)
	$(Q)mkdir -p $(@D) && $(CC) $(LD_FLAGS) -o $@ $^ $(LIBS)

$(B)/hw/static/%: $(B)/obj/tests/hw/%.o $(HW_CHIPS)
	$(call say,link)
	$(Q)mkdir -p $(@D) && $(CC) $(LD_FLAGS) -static -o $@ $^ -lm -lpthread

$(B)/tests/test_hw_chips: $(HW_CHIPS)

# What plays a day of many keys, tests/bench/day.py.
$(B)/bench/%: $(B)/obj/tests/bench/%.o
	$(call say,link)
	$(Q)mkdir -p $(@D) && $(CC) $(LD_FLAGS) -o $@ $^ -lm

# libFuzzer targets: made by `make fuzzers` in a clang build of its own, see FUZZ_BUILD.
$(B)/fuzz/%: $(B)/obj/tests/fuzz/%.o $(ARCHIVES)
	$(call say,link)
	$(Q)mkdir -p $(@D) && $(CXX) $(LD_FLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

-include $(shell find $(B)/obj -name '*.d' 2>/dev/null)

# ---- running and testing ------------------------------------------------------------------------------------------------

# Other builds of the same sources: gcc's sanitizers for units and programs, clang's for libFuzzer. Warnings are errors in
# the main build only; instrumented code makes gcc and clang warn of what is not there.
ASAN_BUILD = $(MAKE) --no-print-directory B=bin/build/asan BIN=bin/build/asan/bin OPT=-O1 WERROR=0 SANITIZE=address,undefined
FUZZ_BUILD = $(MAKE) --no-print-directory B=bin/build/fuzz BIN=bin/build/fuzz/bin OPT=-O1 WERROR=0 CC=clang CXX=clang++ \
	SANITIZE=fuzzer-no-link,address,undefined

# Programs that can be told to die or fail at a named point of the spool's disk, src/io/disk.h.
FAULTY_BUILD = $(MAKE) --no-print-directory B=bin/build/faulty BIN=bin/build/faulty/bin OPT=-O1 CFLAGS=-DPSA_FAULT_POINTS

deps: ## install what building, running and testing need (Debian; elsewhere: name it)
	$(Q)tests/deps.sh install build run test

run: ## build, and show the main job: a simulated press shop, from readings to alerts
	$(Q)tests/deps.sh install build run
	$(Q)$(MAKE) --no-print-directory all
	$(Q)pipelines/press-shop.sh

test: ## every suite; ends with one line: N passed, N failed, N skipped
	$(Q)tests/deps.sh install build run test
	$(Q)tests/run.sh $(SUITES)

check-asan: ## the unit tests and the program tests under AddressSanitizer and UBSan
	+$(Q)$(ASAN_BUILD) programs units
	$(Q)PSA_BIN=bin/build/asan/bin tests/run.sh asan cli chain fault

check-valgrind: ## the unit tests under valgrind
	$(Q)$(MAKE) --no-print-directory units
	$(Q)tests/run.sh valgrind

fuzz: ## every libFuzzer target in turn, FUZZ_SECONDS (60) each
	+$(Q)$(FUZZ_BUILD) fuzzers
	$(Q)tests/fuzz/run.sh bin/build/fuzz/fuzz $(FUZZ_SECONDS)

bench: ## speed as a ratio to other tools in one run (installs miller)
	$(Q)tests/deps.sh install build run bench
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/bench/run.sh

day: $(BIN)/psa-score $(B)/bench/day ## 24 hours of 10,000 keys at 1 Hz through psa-score, an hour: DAY='--keys 1000 ... --ewma'
	$(Q)/usr/bin/python3 tests/bench/day.py $(B)/bench/day $(BIN)/psa-score $(DAY)

lint: ## clang-format, clang-tidy, cppcheck, shellcheck, mandoc -T lint, tests/lint
	$(Q)tests/deps.sh install build lint
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/lint.sh

prove: ## the slow proofs: 10^8 samples in rolling windows, power cuts, kills, disk faults, a broker gone, memory of 10,000 keys
	$(Q)tests/deps.sh install build run test
	$(Q)$(MAKE) --no-print-directory all test-faulty $(B)/tests/test_rolling $(B)/bench/day
	$(Q)$(B)/tests/test_rolling 100000000
	$(Q)tests/fault/spool_proof.sh
	$(Q)tests/fault/broker_proof.sh
	$(Q)tests/fault/pipeline_proof.sh
	$(Q)/usr/bin/python3 tests/bench/day.py --seconds 864 $(B)/bench/day $(BIN)/psa-score

check-units: ## the systemd units in a Debian booted for it: kills, restarts, a broker gone (root; installs mmdebstrap)
	$(Q)tests/deps.sh install build run test units
	$(Q)$(MAKE) --no-print-directory all
	$(Q)tests/units/nspawn.sh

check-hw: ## sensord in a Debian kernel (qemu) with real drivers: I2C, GPIO, IIO (installs qemu, downloads a kernel)
	$(Q)tests/deps.sh install build
	$(Q)tests/hw/prepare.sh
	$(Q)$(MAKE) --no-print-directory $(BIN)/sensord test-hw
	$(Q)PSA_BIN=$(BIN) PSA_HW_STATIC=$(B)/hw/static tests/hw/check.sh

# What `make test` builds before it runs anything; tests/run.sh calls these and reports a failed build as a failure.
.PHONY: test-programs test-units test-asan test-fuzzers test-faulty test-hw hw-tools
test-programs: programs
test-units: units
test-asan: ; +$(Q)$(ASAN_BUILD) units
test-fuzzers: ; +$(Q)$(FUZZ_BUILD) fuzzers
test-hw: $(addprefix $(B)/hw/static/,stub_player cp2112_player gpio_player qemu_exit)
test-faulty: ; +$(Q)$(FAULTY_BUILD) bin/build/faulty/bin/psa-spool
hw-tools: $(HW_TOOLS)

# ---- installing ---------------------------------------------------------------------------------------------------------

install: all ## into PREFIX (/usr/local) under DESTDIR: programs, man pages, pipelines
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/psa/pipelines
	install -m 755 $(PROGRAMS) $(DESTDIR)$(PREFIX)/bin
	$(if $(PIPELINES),install -m 755 $(PIPELINES) $(DESTDIR)$(PREFIX)/share/psa/pipelines)
	install -d $(DESTDIR)$(PREFIX)/share/psa/pipelines/cron $(DESTDIR)$(PREFIX)/share/psa/examples \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/psa-.service.d $(DESTDIR)$(PREFIX)/lib/sysusers.d
	install -m 755 $(wildcard pipelines/cron/*) $(DESTDIR)$(PREFIX)/share/psa/pipelines/cron
	set -e; for unit in $(UNITFILES); do \
		sed 's|/usr/local/|$(PREFIX)/|g' $$unit >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${unit#pipelines/systemd/}; done
	$(if $(wildcard pipelines/*.zones),install -m 644 $(wildcard pipelines/*.zones) $(DESTDIR)$(PREFIX)/share/psa/pipelines)
	install -m 644 pipelines/systemd/psa.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/psa.conf
	install -D -m 644 pipelines/systemd/psa.rules $(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-psa.rules
	install -m 644 pipelines/systemd/edge.conf pipelines/systemd/sensors.conf $(DESTDIR)$(PREFIX)/share/psa/examples
	set -e; for page in $(MANUALS); do \
		install -D -m 644 $$page $(DESTDIR)$(PREFIX)/share/man/man$${page##*.}/$${page##*/}; done

uninstall: ## remove what install put there
	rm -f $(patsubst $(BIN)/%,$(DESTDIR)$(PREFIX)/bin/%,$(PROGRAMS))
	rm -f $(foreach page,$(MANUALS),$(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $(page)))/$(notdir $(page)))
	rm -rf $(DESTDIR)$(PREFIX)/share/psa $(patsubst pipelines/systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%,$(UNITFILES))
	rm -f $(DESTDIR)$(PREFIX)/lib/sysusers.d/psa.conf $(DESTDIR)$(PREFIX)/lib/udev/rules.d/60-psa.rules
	-rmdir $(DESTDIR)$(PREFIX)/lib/systemd/system/psa-.service.d 2>/dev/null

clean: ## remove bin/
	rm -rf bin

help: ## this list
	@sed -n 's/^\([a-z][a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 24
