/* SPDX-License-Identifier: GPL-2.0-only */
/* What the module can do beside comparing random rules: each until it is stopped. */
#ifndef NFT_OFFLOAD_ORACLE_MODES_H
#define NFT_OFFLOAD_ORACLE_MODES_H

#include <linux/types.h>

struct oracle_chip;
struct seq_file;

/*
 * Compares the rules that the kernel gives to nft_offload while it works. No
 * answer of this module's is ever anything but -EOPNOTSUPP, and it is in
 * flowtables only that another driver has taken already: it changes nothing.
 * @ports: names of the net devices of the ports, in their order.
 */
int oracle_capture_start(const struct oracle_chip *chip, char *const *ports, int num_ports);
void oracle_capture_stop(void);
/* Counts so far, a line each, and the first rules that differ as comments. */
int oracle_capture_show(struct seq_file *m, void *v);

/*
 * The kernel's driver drives the emulated board, in the place of nft_offload:
 * flowtables give their rules to it, and it binds what the engine has learned.
 */
int oracle_drive_start(void);
void oracle_drive_stop(void);
/* The chip, and what came so far, a line each. */
int oracle_drive_show(struct seq_file *m, void *v);

/* Has the registers of the board, and nothing else of it: whoever comes later is refused. */
int oracle_claim_start(void);
void oracle_claim_stop(void);

/*
 * Gives rules that nobody would make to nft_offload by its own callbacks, as a
 * flowtable would and as tc would: on all CPUs at once, with a few cookies for
 * all of them, @count commands on each CPU. With @seconds they are for so long
 * those that the kernel gives, as fast as they can be given: REPLACE, DESTROY
 * and STATS of the same few thousand flows.
 */
int oracle_hostile(char *const *ports, int num_ports, u64 seed, unsigned int count,
		   unsigned int seconds);

/* From now on @ms pass between what the kernel tells of a route and the change itself. */
int oracle_slow_start(unsigned int ms);
void oracle_slow_stop(void);
/* From now on a direction of a flow that is offered takes @ms, in new flowtables. */
int oracle_slow_offers_start(unsigned int ms);
void oracle_slow_offers_stop(void);

#endif
