# SPDX-License-Identifier: MIT
# The whole build on one screen. New files under src/ and tests/ need no edit here.
#   make                       build/parley
#   make check [SAN=...]       every unit, kernel, backend and wire test; SAN=address,undefined | thread
#   make check ONLY=tests/unit/base/ring.c
#   make check-oom             tests of out_of_memory: every allocation fails once
#   make lint                  floors, sizes, names, banned calls, headers, form
#   make install DESTDIR= PREFIX=/usr/local
#   BUILD=dir CC=clang-14 V=1

CC       = gcc
BUILD    = build
PREFIX   = /usr/local
PKGS     = libwebsockets openssl jansson opus ogg sndfile soxr
VERSION := $(shell cat VERSION)

# libwebsockets' headers and libm's exp/erf are the only reasons for -D_GNU_SOURCE.
WARN     = -Wall -Wextra -Werror -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla \
           -Wno-unused-parameter -Wpointer-arith
HARDEN   = -fPIE -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
OPT      = -O2 -g -fno-math-errno -ffp-contract=off
CFLAGS   = $(OPT) $(HARDEN)
LDHARDEN = -pie -Wl,-z,relro,-z,now -Wl,--as-needed -Wl,--compress-debug-sections=zlib
ALL_C    = -std=c11 -D_GNU_SOURCE -DPARLEY_VERSION='"$(VERSION)"' -Isrc -I$(BUILD)/gen $(WARN) $(CFLAGS) \
           $(SAN_FLAGS) $(PKG_C)
PKG_C   := $(shell pkg-config --cflags $(PKGS))
LIBS    := $(shell pkg-config --libs $(PKGS)) -lm -lpthread -ldl

# isa_X.c and isa_X_*.c are built for the CPU instruction set X: its flags on one line.
ISA_FLAGS_c      = -O3 -ffp-contract=off
ISA_FLAGS_avx2   = -O3 -mavx2 -mfma -mf16c
ISA_FLAGS_avx512 = -O3 -mavx2 -mfma -mf16c -mavx512f -mavx512bw -mavx512vl -mavx512dq
ISA_FLAGS_avxvnni    = $(ISA_FLAGS_avx2) -mavxvnni
ISA_FLAGS_avx512vnni = $(ISA_FLAGS_avx512) -mavx512vnni
ISA_FLAGS_avx512bf16 = $(ISA_FLAGS_avx512vnni) -mavx512bf16
ISA_FLAGS_amx        = $(ISA_FLAGS_avx512bf16) -mamx-tile -mamx-int8 -mamx-bf16

# Intrinsics under a sanitizer take minutes to compile, and guard pages watch these kernels instead: every build of a
# compiler shares the plain one's objects.
PLAIN := $(BUILD)
ISA_C := -std=c11 -D_GNU_SOURCE -Isrc $(WARN) $(OPT) $(HARDEN)

comma := ,
ifdef SAN
override BUILD := $(BUILD)/san-$(subst $(comma),-,$(subst $(comma) ,,$(subst $() ,,$(SAN))))
SAN_FLAGS  = -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all
HARDEN     = -fPIE
endif
Q := $(if $(V),,@)

SRC      := $(shell find src -name '*.c' | sort)
ISA_SRC  := $(filter-out src/kernel/isa_c%,$(filter src/kernel/isa_%,$(SRC)))
ifeq ($(filter x86_64%,$(shell $(CC) -dumpmachine)),)
SRC      := $(filter-out $(ISA_SRC),$(SRC))
ISA_SRC  :=
endif
ISA_OBJ  := $(ISA_SRC:%.c=$(PLAIN)/%.o)
OBJ      := $(patsubst %.c,$(BUILD)/%.o,$(filter-out $(ISA_SRC),$(SRC))) $(ISA_OBJ)
WEB      := $(shell find web -type f 2>/dev/null | sort)
LIB_OBJ  := $(filter-out $(BUILD)/src/app/main.o,$(OBJ)) $(BUILD)/gen/web_files.o
TEST_SRC := $(shell find tests/unit tests/kernel tests/backend tests/wire tests/rt -name '*.c' 2>/dev/null | sort)
TESTS    := $(patsubst %.c,$(BUILD)/%,$(if $(ONLY),$(filter $(ONLY),$(TEST_SRC)),$(TEST_SRC)))

# What objects depend on beside their sources: compiler and flags, and which files there are. A stamp is written when
# its text has changed.
define stamp
$(shell mkdir -p $(dir $(1)))$(file >$(1).new,$(2))$(shell cmp -s $(1).new $(1) && rm -f $(1).new || mv $(1).new $(1))
endef
CC_IS := $(CC) $(shell $(CC) --version 2>/dev/null | head -n 1)
FLAGS := $(BUILD)/gen/flags
FILES := $(BUILD)/gen/files
PLAIN_FLAGS := $(PLAIN)/gen/plain-flags
ifneq ($(MAKECMDGOALS),clean)
$(call stamp,$(FLAGS),$(CC_IS) $(ALL_C) $(ISA_FLAGS_c) $(LDHARDEN) $(LIBS))
$(call stamp,$(PLAIN_FLAGS),$(CC_IS) $(ISA_C) $(foreach x,avx2 avx512 avxvnni avx512vnni avx512bf16 amx,$(ISA_FLAGS_$(x))))
$(call stamp,$(FILES),$(SRC) $(WEB))
endif

# A file gets its name when it is whole: a build that was killed, or a full disk, leaves no half of one behind.
.DELETE_ON_ERROR:
DEPS = -MMD -MP -MQ $@ -MF $@.d

.PHONY: all check check-oom lint install clean tests
all: $(BUILD)/parley

$(BUILD)/parley: $(BUILD)/src/app/main.o $(BUILD)/libparley.a $(FLAGS)
	@echo "  link  $@"
	$(Q)$(CC) $(CFLAGS) $(SAN_FLAGS) $(LDHARDEN) -o $@.tmp $(filter %.o %.a,$^) $(LIBS) && mv $@.tmp $@

$(BUILD)/libparley.a: $(LIB_OBJ) $(FILES)
	$(Q)rm -f $@.tmp && ar rcsD $@.tmp $(filter %.o,$^) && mv $@.tmp $@

$(BUILD)/%.o: %.c Makefile VERSION $(FLAGS)
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(ALL_C) $(if $(findstring /isa_,$<),$(ISA_FLAGS_$(word 2,$(subst _, ,$(basename $(notdir $<)))))) \
		$(DEPS) -c -o $@.tmp $< && mv $@.tmp $@

$(ISA_OBJ): $(PLAIN)/%.o: %.c Makefile $(PLAIN_FLAGS)
	@mkdir -p $(@D)
	@echo "  cc    $<"
	$(Q)$(CC) $(ISA_C) $(ISA_FLAGS_$(word 2,$(subst _, ,$(basename $(notdir $<))))) $(DEPS) -c -o $@.tmp $< && mv $@.tmp $@

$(filter-out $(ISA_OBJ),$(ISA_SRC:%.c=$(BUILD)/%.o)): $(BUILD)/%.o: $(PLAIN)/%.o
	@mkdir -p $(@D)
	$(Q)cp $< $@.tmp && mv $@.tmp $@

$(BUILD)/gen/web_files.c: scripts/embed-web.sh $(WEB) $(FILES)
	@mkdir -p $(@D)
	$(Q)scripts/embed-web.sh web $@.tmp && mv $@.tmp $@
$(BUILD)/gen/web_files.o: $(BUILD)/gen/web_files.c $(FLAGS)
	$(Q)$(CC) $(ALL_C) $(DEPS) -c -o $@.tmp $< && mv $@.tmp $@

tests: $(TESTS)
$(TESTS): $(BUILD)/%: %.c $(BUILD)/libparley.a Makefile $(FLAGS)
	@mkdir -p $(@D)
	@echo "  test  $@"
	$(Q)$(CC) $(ALL_C) -Itests $(DEPS) -o $@.tmp $< $(filter %.o,$^) $(BUILD)/libparley.a $(LDHARDEN) -lcmocka $(LIBS) && \
		mv $@.tmp $@

# AVX-512, VNNI and AMX in other instructions, for tests on machines without them; -O1 compiles four times faster.
SIMDE_ISAS := $(if $(wildcard /usr/include/simde/x86/avx512.h),$(if $(filter x86_64%,$(shell $(CC) -dumpmachine)),\
              avx512 avxvnni avx512vnni avx512bf16 amx))
$(filter-out %/quant,$(filter $(BUILD)/tests/kernel/%,$(TESTS))): $(SIMDE_ISAS:%=$(PLAIN)/tests/kernel/simde_%.o)
$(PLAIN)/tests/kernel/simde_%.o: src/kernel/isa_%.c tests/kernel/simde.h Makefile $(PLAIN_FLAGS)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ISA_C) $(ISA_FLAGS_avx2) -O1 -Wno-psabi -include tests/kernel/simde.h -Disa_$*=isa_$*_simde \
		$(DEPS) -c -o $@.tmp $< && mv $@.tmp $@

check: $(BUILD)/parley tests
	$(Q)scripts/run-tests.sh $(BUILD) $(TESTS)

check-oom:
	$(Q)TEST_FILTER=out_of_memory $(MAKE) --no-print-directory SAN=address,undefined check

lint: $(OBJ)
	$(Q)BUILD='$(BUILD)' CC='$(CC)' C_FLAGS='$(ALL_C)' scripts/lint.sh

install: $(BUILD)/parley
	install -D -m 755 $(BUILD)/parley "$(DESTDIR)$(PREFIX)/bin/parley"
	install -D -m 644 docs/parley.1 "$(DESTDIR)$(PREFIX)/share/man/man1/parley.1"
	for m in models/*/; do to="$(DESTDIR)$(PREFIX)/share/parley/models/$$(basename $$m)"; \
	    install -d -m 755 "$(DESTDIR)$(PREFIX)/share/parley" "$(DESTDIR)$(PREFIX)/share/parley/models" "$$to" && \
	    install -m 644 $$m* "$$to/" || exit 1; done

clean:
	rm -rf $(BUILD)

-include $(shell find $(PLAIN) -name '*.d' 2>/dev/null)
