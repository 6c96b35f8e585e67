/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Compares the rules that the kernel gives to nft_offload while it works. No
 * answer of this module's is ever anything but -EOPNOTSUPP, and it is in
 * flowtables only that another driver has taken already: it changes nothing.
 */
#ifndef NFT_OFFLOAD_ORACLE_CAPTURE_H
#define NFT_OFFLOAD_ORACLE_CAPTURE_H

struct oracle_chip;
struct seq_file;

/* @ports: names of the net devices of the ports, in their order. */
int oracle_capture_start(const struct oracle_chip *chip, char *const *ports, int num_ports);
void oracle_capture_stop(void);

/* Counts so far, a line each, and the first rules that differ as comments. */
int oracle_capture_show(struct seq_file *m, void *v);

#endif
