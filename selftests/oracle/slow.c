// SPDX-License-Identifier: GPL-2.0-only
/*
 * A kernel that needs long. To change routes: it tells of a route, a rule or a
 * nexthop first, and is then held up, as by a softirq that comes in between. To
 * offer flows: they wait for each other, as behind another driver of the same
 * flowtable.
 */
#include <linux/delay.h>
#include <linux/limits.h>
#include <linux/notifier.h>
#include <net/fib_notifier.h>
#include <net/flow_offload.h>
#include <net/net_namespace.h>
#include <net/nexthop.h>

#include "indirect.h"
#include "modes.h"

/* Zero while the kernel tells of what there is already. */
static unsigned int delay_ms;

static int changes(struct notifier_block *nb, unsigned long event, void *data)
{
	mdelay(READ_ONCE(delay_ms));
	return NOTIFY_DONE;
}

/* After all others. */
static struct notifier_block fib_nb = { .notifier_call = changes, .priority = INT_MIN };
static struct notifier_block nexthop_nb = { .notifier_call = changes, .priority = INT_MIN };

int oracle_slow_start(unsigned int ms)
{
	int err;

	err = register_fib_notifier(&init_net, &fib_nb, NULL, NULL);
	if (err)
		return err;
	err = register_nexthop_notifier(&init_net, &nexthop_nb, NULL);
	if (err)
		unregister_fib_notifier(&init_net, &fib_nb);
	else
		WRITE_ONCE(delay_ms, ms);
	return err;
}

void oracle_slow_stop(void)
{
	unregister_nexthop_notifier(&init_net, &nexthop_nb);
	unregister_fib_notifier(&init_net, &fib_nb);
}

static unsigned int offer_ms;

static bool wants_all(const struct net_device *dev, const struct flow_block_offload *bo)
{
	return true;
}

static int offered(struct net *net, struct flow_cls_offload *cls, bool first)
{
	if (first && cls->command == FLOW_CLS_REPLACE)
		msleep(offer_ms);
	return -EOPNOTSUPP;
}

static const struct oracle_taker taker = { .wants = wants_all, .command = offered };

int oracle_slow_offers_start(unsigned int ms)
{
	offer_ms = ms;
	return oracle_indirect_register(&taker);
}

void oracle_slow_offers_stop(void)
{
	oracle_indirect_unregister();
}
