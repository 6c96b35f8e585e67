/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's driver drives the emulated board, in the place of nft_offload:
 * flowtables give their rules to it, and it binds what the engine has learned.
 */
#ifndef NFT_OFFLOAD_ORACLE_DRIVE_H
#define NFT_OFFLOAD_ORACLE_DRIVE_H

struct seq_file;

int oracle_drive_start(void);
void oracle_drive_stop(void);

/* Has the registers of the board, and nothing else of it: whoever comes later is refused. */
int oracle_claim_start(void);
void oracle_claim_stop(void);

/* The chip, and what came so far, a line each. */
int oracle_drive_show(struct seq_file *m, void *v);

#endif
