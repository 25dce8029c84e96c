# handover: build, prove, install. `make help` lists the targets; V=1 shows the commands.

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       ?= cc
OBJCOPY  ?= objcopy
Q        := $(if $(V),,@)
say       = @echo "  $(1)"
PYTHON   ?= /usr/bin/python3
SAN      ?=
LOAD     ?= yes
O        ?= 2

comma    := ,
TOP      := build
BUILD    := $(if $(SAN),$(TOP)/san-$(subst $(comma),-,$(SAN)),$(if $(COV),$(TOP)/coverage,$(TOP)))
OBJ      := $(BUILD)/obj
BIN      := $(BUILD)/bin
LIB      := $(BUILD)/lib
GEN      := $(BUILD)/gen
CHECK    := $(BUILD)/check

WARNINGS := -Wall -Wextra -Wpedantic -Wshadow -Wmissing-prototypes -Wstrict-prototypes -Wvla \
            -Wundef -Wimplicit-fallthrough -Wconversion $(if $(CI),-Werror)
HARDEN   := -fstack-protector-strong $(if $(SAN)$(COV),,-D_FORTIFY_SOURCE=2)
CPPFLAGS += -D_GNU_SOURCE -DHANDOVER_VERSION='"$(VERSION)"' -I. -I$(GEN)
CFLAGS   ?= -g
CFLAGS   += -std=gnu11 -O$(O) $(WARNINGS) $(HARDEN) -fvisibility=hidden
LDFLAGS  += -Wl,-z,relro,-z,now -Wl,--as-needed
ifneq ($(SAN),)
CFLAGS   += -fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=undefined
LDFLAGS  += -fsanitize=$(SAN)
endif
ifneq ($(COV),)
CFLAGS   += --coverage -O0
LDFLAGS  += --coverage
endif

# What each program is made of. Archives are linked by need, so that handoverctl carries no loop.
PROTO_SRC   := $(wildcard proto/*.c)
CTL_SRC     := $(wildcard supervisor/handoverctl.c supervisor/ctl_*.c)
DAEMON_SRC  := supervisor/handoverd.c
SUPER_SRC   := $(filter-out $(CTL_SRC) $(DAEMON_SRC),$(wildcard supervisor/*.c))
LIBH_SRC    := $(wildcard worker/libhandover*.c)
HTTPD_SRC   := $(wildcard worker/httpd*.c worker/handover-httpd.c)
EXAMPLE_SRC := $(wildcard worker/examples/*.c)
UNIT_SRC    := $(wildcard tests/unit/test_*.c)
LOAD_SRC    := $(wildcard tests/load/load_*.c)
HELPER_SRC  := $(wildcard tests/programs/*.c)

obj = $(patsubst %.c,$(OBJ)/%.o,$(1))
LIBPROTO    := $(LIB)/internal/libproto.a
LIBSUPER    := $(LIB)/internal/libsupervisor.a
LIBCTL      := $(LIB)/internal/libctl.a
LIBHTTPD    := $(LIB)/internal/libhttpd.a
LIBLOAD     := $(LIB)/internal/libload.a
LIBWORKER   := $(LIB)/internal/libworker.a
SONAME      := libhandover.so.0

PROGRAMS    := $(BIN)/handoverd $(BIN)/handoverctl $(BIN)/handover-httpd
LIBRARIES   := $(LIB)/$(SONAME) $(LIB)/libhandover.so $(LIB)/libhandover.a $(LIB)/handover.pc
EXAMPLES    := $(patsubst worker/examples/%.c,$(BUILD)/examples/%,$(EXAMPLE_SRC))
UNIT_TESTS  := $(patsubst tests/unit/%.c,$(CHECK)/unit/%,$(UNIT_SRC))
LOAD_TOOLS  := $(patsubst tests/load/%.c,$(CHECK)/%,$(wildcard tests/load/load.c tests/load/faulty.c))
HELPERS     := $(patsubst tests/programs/%.c,$(CHECK)/programs/%,$(HELPER_SRC))
MANUALS     := $(patsubst %.scd,$(BUILD)/man/%,$(notdir $(wildcard supervisor/*.scd worker/*.scd proto/*.scd)))

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SECONDARY:

all: programs libraries examples ## build everything
programs: $(PROGRAMS)
libraries: $(LIBRARIES)
examples: $(EXAMPLES)
man: $(MANUALS) ## the manual pages

# A goal that promises to install what is missing does so before the first object is compiled.
NEEDS := $(if $(filter check bench soak coverage,$(MAKECMDGOALS)),deps,\
         $(if $(filter demo,$(MAKECMDGOALS)),deps-build))
ifneq ($(strip $(NEEDS)),)
$(GEN)/control_interface.c $(call obj,$(wildcard */*.c */*/*.c)) $(MANUALS): | $(NEEDS)
endif

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 14

deps: ## install the Debian packages that are missing
	@tests/deps

deps-build:
	@tests/deps build

$(OBJ)/%.o: %.c
	@mkdir -p $(@D)
	$(call say,cc    $<)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -MMD -MP -c $< -o $@

$(OBJ)/gen/%.o: $(GEN)/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(CPPFLAGS) $(CFLAGS) -fPIC -c $< -o $@

# The interface description is embedded as it stands: one source of truth (proto/interface.h).
$(GEN)/control_interface.c: proto/io.handover.Control.varlink
	@mkdir -p $(@D)
	@{ echo '#include "proto/interface.h"'; echo '#pragma GCC diagnostic ignored "-Woverlength-strings"'; echo 'const char control_interface[] ='; \
	   sed -e 's/\\/\\\\/g' -e 's/"/\\"/g' -e 's/.*/"&\\n"/' $<; echo ';'; } > $@

$(LIBPROTO): $(call obj,$(PROTO_SRC)) $(OBJ)/gen/control_interface.o
$(LIBSUPER): $(call obj,$(SUPER_SRC))
$(LIBCTL): $(call obj,$(filter-out supervisor/handoverctl.c,$(CTL_SRC)))
$(LIBHTTPD): $(call obj,$(filter-out worker/handover-httpd.c,$(HTTPD_SRC)))
$(LIBLOAD): $(call obj,$(LOAD_SRC))
$(LIB)/internal/%.a:
	@mkdir -p $(@D)
	@rm -f $@
	$(Q)$(AR) rcs $@ $^

LINK = @mkdir -p $(@D); echo "  link  $@"; $(CC) $(CFLAGS) $(LDFLAGS) -pie -o $@ $(filter %.o,$^) $(filter %.a,$^) $(1)

$(BIN)/handoverd: $(call obj,$(DAEMON_SRC)) $(LIBSUPER) $(LIBPROTO)
	$(call LINK,-lev -ljansson -lsystemd -lini_config -lm)
$(BIN)/handoverctl: $(call obj,supervisor/handoverctl.c) $(LIBCTL) $(LIBSUPER) $(LIBPROTO)
	$(call LINK,-ljansson)
$(BIN)/handover-httpd: $(call obj,worker/handover-httpd.c) $(LIBHTTPD) $(LIB)/libhandover.a $(LIBPROTO)
	$(call LINK,-lev -lhttp_parser -ljansson -lm)

# libhandover: the public part, and of proto/ what it needs, hidden from its users.
LIBH_OBJ := $(call obj,$(LIBH_SRC))
$(LIB)/$(SONAME): $(LIBH_OBJ) $(LIBPROTO)
	@mkdir -p $(@D)
	$(call say,link  $@)
	$(Q)$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,$(SONAME) -o $@ $(LIBH_OBJ) $(LIBPROTO) -ljansson
$(LIB)/libhandover.so: $(LIB)/$(SONAME)
	@ln -sf $(SONAME) $@
$(LIBWORKER): $(LIBH_OBJ)
$(LIB)/libhandover.a: $(LIBH_OBJ) $(LIBPROTO)
	@mkdir -p $(@D)
	@rm -f $@
	$(call say,link  $@)
	$(Q)$(LD) -r -o $(OBJ)/libhandover.o $^
	$(Q)$(OBJCOPY) --localize-hidden $(OBJ)/libhandover.o
	$(Q)$(AR) rcs $@ $(OBJ)/libhandover.o
$(LIB)/handover.pc: worker/handover.pc.in Makefile
	@mkdir -p $(@D)
	@sed -e 's|@VERSION@|$(VERSION)|' $< > $@

$(BUILD)/examples/%: $(OBJ)/worker/examples/%.o $(LIB)/libhandover.a
	$(call LINK,-ljansson)

$(CHECK)/unit/%: $(OBJ)/tests/unit/%.o $(LIBCTL) $(LIBSUPER) $(LIBHTTPD) $(LIBLOAD) $(LIBWORKER) $(LIBPROTO)
	$(call LINK,-lcmocka -lev -ljansson -lsystemd -lini_config -lhttp_parser -lm)
$(CHECK)/%: $(OBJ)/tests/load/%.o $(LIBLOAD)
	$(call LINK,-lm)
$(CHECK)/programs/%: $(OBJ)/tests/programs/%.o $(LIB)/libhandover.a
	$(call LINK,-ljansson)

$(BUILD)/man:
	@mkdir -p $@
define manual
$(BUILD)/man/$(notdir $(basename $(1))): $(1) | $(BUILD)/man
	$$(Q)scdoc < $$< > $$@
endef
$(foreach page,$(wildcard supervisor/*.scd worker/*.scd proto/*.scd),$(eval $(call manual,$(page))))

test-programs: $(UNIT_TESTS) $(LOAD_TOOLS) $(HELPERS)

demo: all $(LOAD_TOOLS) ## a service reloaded again and again under live load
	@BUILD=$(BUILD) tests/demo

check: all test-programs man ## build and run all the tests
	@BUILD=$(BUILD) SAN=$(SAN) LOAD=$(LOAD) PYTHON=$(PYTHON) tests/check

soak: all test-programs ## two million requests across a thousand reloads
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/soak

bench: all test-programs ## measure, beside others, into build/bench/
	@BUILD=$(BUILD) PYTHON=$(PYTHON) tests/bench/run

coverage: deps ## print the lines that the tests do not reach
	@$(MAKE) --no-print-directory COV=yes check LOAD=no
	@tests/coverage $(TOP)/coverage

lint: ## include directions, format, static analysis
	@tests/lint

compdb: ## compile_commands.json
	@$(MAKE) --no-print-directory --always-make --dry-run all test-programs | tests/compdb > compile_commands.json

install: all man ## PREFIX, DESTDIR
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/sbin $(DESTDIR)$(PREFIX)/include \
	           $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 0755 $(BIN)/handoverd $(DESTDIR)$(PREFIX)/sbin/
	install -m 0755 $(BIN)/handoverctl $(BIN)/handover-httpd $(DESTDIR)$(PREFIX)/bin/
	install -m 0644 worker/handover.h $(DESTDIR)$(PREFIX)/include/
	install -m 0644 $(LIB)/$(SONAME) $(LIB)/libhandover.a $(DESTDIR)$(PREFIX)/lib/
	ln -sf $(SONAME) $(DESTDIR)$(PREFIX)/lib/libhandover.so
	sed -e 's|^prefix=.*|prefix=$(PREFIX)|' $(LIB)/handover.pc > $(DESTDIR)$(PREFIX)/lib/pkgconfig/handover.pc
	for page in $(MANUALS); do \
		section=$${page##*.}; install -d $(DESTDIR)$(PREFIX)/share/man/man$$section && \
		install -m 0644 $$page $(DESTDIR)$(PREFIX)/share/man/man$$section/ || exit 1; done

clean: ## remove what was built
	rm -rf $(TOP) compile_commands.json

.PHONY: all programs libraries examples man help deps deps-build test-programs demo check soak bench coverage \
        lint compdb install clean

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)
