// SPDX-License-Identifier: GPL-2.0-only

#include <asm/barrier.h>
#include <linux/jiffies.h>
#include <linux/pci.h>
#include <linux/rtnetlink.h>
#include <linux/timekeeping.h>

#include "helpers.h"

void nft_offload_helper_pci_clear_master(struct device *dev)
{
	pci_clear_master(to_pci_dev(dev));
}

/* Returns when those have left RTNL who hold it now. */
void nft_offload_helper_rtnl_barrier(void)
{
	rtnl_lock();
	rtnl_unlock();
}

/* No finer than what the core wants to know, which are jiffies. */
u64 nft_offload_helper_now_ms(void)
{
	return jiffies64_to_msecs(get_jiffies_64());
}

/* The value jiffies had @ms milliseconds ago, as flow_stats::lastused wants. */
u64 nft_offload_helper_jiffies_ago(u64 ms)
{
	return get_jiffies_64() - nsecs_to_jiffies64(ms * NSEC_PER_MSEC);
}

void nft_offload_helper_dma_wmb(void)
{
	dma_wmb();
}
