# SPDX-License-Identifier: GPL-2.0-only

# 6.18.38 -> 6.18
KERNEL_PATCHVER := $(word 1,$(subst ., ,$(LINUX_VERSION))).$(word 2,$(subst ., ,$(LINUX_VERSION)))
KERNEL_MAKE = $(MAKE) --no-print-directory -C $(LINUX_DIR) $(KERNEL_MAKE_FLAGS)

# AutoProbe MODULE…: loaded at boot, in no order.
AutoProbe = $(strip $(1))

define KernelPackage
$(eval $(Package/Default))
$(eval FILES :=)
$(eval AUTOLOAD :=)
$(eval $(value KernelPackage/$(1)))
$(eval define Package/kmod-$(1)
SECTION := kernel
TITLE := $(TITLE)
DEPENDS := $(DEPENDS)
EXTRA_DEPENDS := kernel (=$(LINUX_VERSION)~$(LINUX_VERMAGIC)-r$(LINUX_RELEASE))
VERSION := $(LINUX_VERSION).$(PKG_VERSION)-r$(PKG_RELEASE)
endef)
$(eval Package/kmod-$(1)/description = $$(KernelPackage/$(1)/description))
$(eval define Package/kmod-$(1)/install
	$$(INSTALL_DIR) $$(1)/lib/modules/$(LINUX_UNAME_VERSION) $$(1)/etc/modules.d
	$$(INSTALL_DATA) $(FILES) $$(1)/lib/modules/$(LINUX_UNAME_VERSION)/
	printf '%s\n' $(AUTOLOAD) >$$(1)/etc/modules.d/$(1)
endef)
$(call BuildPackage,kmod-$(1))
endef
