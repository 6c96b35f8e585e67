// SPDX-License-Identifier: GPL-2.0-only

#include <linux/jiffies.h>
#include <linux/lockdep.h>
#include <linux/workqueue.h>

#include "helpers.h"

/*
 * INIT_DELAYED_WORK() has one lock class for all callers of this function, so
 * the caller's class takes its place.
 */
void nft_offload_helper_work_init(struct delayed_work *work,
				  void (*func)(struct work_struct *work),
				  const char *name, struct lock_class_key *key)
{
	INIT_DELAYED_WORK(work, func);
	lockdep_init_map(&work->work.lockdep_map, name, key, 0);
}

/* Does nothing if @work waits already. */
void nft_offload_helper_work_queue(struct delayed_work *work, u64 ms)
{
	queue_delayed_work(system_dfl_wq, work, msecs_to_jiffies(ms));
}

void nft_offload_helper_work_queue_now(struct delayed_work *work)
{
	mod_delayed_work(system_dfl_wq, work, 0);
}

struct delayed_work *nft_offload_helper_work_delayed(struct work_struct *work)
{
	return to_delayed_work(work);
}
