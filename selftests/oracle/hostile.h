/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Rules that nobody would make, given to nft_offload itself by its own callbacks, as a
 * flowtable would and as tc would: on all CPUs at once, with a few cookies for all of them.
 */
#ifndef NFT_OFFLOAD_ORACLE_HOSTILE_H
#define NFT_OFFLOAD_ORACLE_HOSTILE_H

#include <linux/types.h>

/*
 * @ports: names of net devices; @count: commands of each CPU. With
 * @seconds they are for so long those that the kernel gives, as fast as they can be given:
 * REPLACE, DESTROY and STATS of the same few thousand flows.
 */
int oracle_hostile(char *const *ports, int num_ports, u64 seed, unsigned int count,
		   unsigned int seconds);

#endif
