# SPDX-License-Identifier: GPL-2.0-only
#
# The fields of a control file, their order and what stands in them:
# Documentation of that is openwrt/README.md.

empty :=
comma := ,
space := $(empty) $(empty)
PKG_BUILD_DIR = $(BUILD_DIR)/$(PKG_NAME)-$(PKG_VERSION)

define Package/Default
SECTION :=
TITLE :=
DEPENDS :=
EXTRA_DEPENDS :=
PKGARCH := $(ARCH_PACKAGES)
VERSION := $(PKG_VERSION)-r$(PKG_RELEASE)
endef

# Conditions for the menu (@…) are gone by then; all but kmods need libc.
depends = $(strip $(if $(filter kmod-%,$(1)),,libc) $(subst +,,$(filter-out @%,$(DEPENDS))))

field = $(if $(2),$(1): $(2)$(newline))
define newline


endef

# $(1): a package
control = $(call field,Package,$(1))$(call field,Version,$(VERSION))$(call field,Depends,$\
	$(subst $(space)$(comma),$(comma),$(if $(EXTRA_DEPENDS),$(EXTRA_DEPENDS)$(comma) )$\
	$(subst $(space),$(comma)$(space),$(call depends,$(1)))))$\
	$(call field,Provides,$(1)-any)$(call field,Source,feeds/nft_offload/$(notdir $(abspath $(CURDIR)/..))/$(notdir $(CURDIR)))$\
	$(call field,SourceName,$(PKG_NAME))$(call field,License,$(PKG_LICENSE))$\
	$(call field,LicenseFiles,$(PKG_LICENSE_FILES))$(call field,Section,$(SECTION))$\
	$(call field,SourceDateEpoch,$(SOURCE_DATE_EPOCH))$(call field,Architecture,$(PKGARCH))$\
	$(call field,Installed-Size,0)

# The first line of a description follows after two blanks, the others after one.
define BuildPackage
$(eval $(Package/Default))
$(eval $(value Package/$(1)))
$(eval packages += $(1))
$(file >$(OUT)/$(1).control,$(call control,$(1))Description: $(or $(Package/$(1)/description),$(TITLE)))
$(if $(Package/$(1)/postinst),$(file >$(OUT)/$(1).postinst-pkg,$(Package/$(1)/postinst)))
$(if $(Package/$(1)/prerm),$(file >$(OUT)/$(1).prerm-pkg,$(Package/$(1)/prerm)))
.PHONY: install-$(1)
install-$(1):
$(call Package/$(1)/install,$(OUT)/$(1).root)
endef

.PHONY: prepare compile install
prepare:
	$(Build/Prepare)
compile:
	$(Build/Compile)
.SECONDEXPANSION:
install: $$(addprefix install-,$$(packages))
