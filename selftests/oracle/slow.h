/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef NFT_OFFLOAD_ORACLE_SLOW_H
#define NFT_OFFLOAD_ORACLE_SLOW_H

/* From now on @ms pass between what the kernel tells of a route and the change itself. */
int oracle_slow_start(unsigned int ms);
void oracle_slow_stop(void);

/* From now on a direction of a flow that is offered takes @ms, in new flowtables. */
int oracle_slow_offers_start(unsigned int ms);
void oracle_slow_offers_stop(void);

#endif
