// SPDX-License-Identifier: GPL-2.0-only
/*
 * The kernel's mtk_ppe.c as it is, from the kernel tree. What it writes to a
 * register goes by way of the stand-in, which answers for the engine where the
 * driver would wait for it.
 */
#include <linux/io.h>
#include <linux/iopoll.h>

#include "standin.h"

#undef writel
#define writel(value, addr) oracle_writel(value, addr)

#include "mtk_ppe.c"
