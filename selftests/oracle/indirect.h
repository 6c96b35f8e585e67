/* SPDX-License-Identifier: GPL-2.0-only */
/* Rules of the kernel's own flowtables, by way of an indirect block callback. */
#ifndef NFT_OFFLOAD_ORACLE_INDIRECT_H
#define NFT_OFFLOAD_ORACLE_INDIRECT_H

#include <linux/types.h>

struct flow_block_offload;
struct flow_cls_offload;
struct net;
struct net_device;

struct oracle_taker {
	/* Whether rules of the flowtable that @dev is being bound to are wanted. */
	bool (*wants)(const struct net_device *dev, const struct flow_block_offload *bo);
	/*
	 * A command for a flow of a flowtable in @net. It comes once for each
	 * bound device of the flowtable, first for @first. Workers call it on all
	 * CPUs at once; it may sleep.
	 */
	int (*command)(struct net *net, struct flow_cls_offload *cls, bool first);
};

/* There is one at a time. Flowtables that exist already are not taken. */
int oracle_indirect_register(const struct oracle_taker *taker);
/* Returns when no command is running any more. */
void oracle_indirect_unregister(void);

#endif
