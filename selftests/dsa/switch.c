// SPDX-License-Identifier: GPL-2.0-only
/*
 * A switch for tests: its ports are net devices of DSA, and a net device that
 * is there already is their conduit. It has no hardware: who is at the other
 * end of the conduit's wire takes off and puts on the tags as a switch does.
 *
 * The conduit's driver need not know flow offload. DSA asks it for that of the
 * ports, and refuses where it has no ndo_setup_tc; so it is lent one that has
 * nothing against flowtables, and offloads nothing.
 */
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/phy.h>
#include <linux/phy_fixed.h>
#include <linux/platform_device.h>
#include <linux/rtnetlink.h>
#include <net/dsa.h>
#include <swphy.h>

#define PORTS 7
#define CPU_PORT 6

static char *conduit = "lan";
module_param(conduit, charp, 0444);
MODULE_PARM_DESC(conduit, "device by which the switch is reached");

static char *tag = "mtk";
module_param(tag, charp, 0444);
MODULE_PARM_DESC(tag, "protocol of the tags: mtk or dsa");

static bool link[PORTS] = { [0 ... PORTS - 1] = true };
module_param_array(link, bool, NULL, 0644);
MODULE_PARM_DESC(link, "which ports have a link");

static struct net_device *conduit_dev;
static const struct net_device_ops *conduit_ops;
static TYPEOF_UNQUAL(*conduit_ops) lent_ops;
static struct platform_device *device;
static struct dsa_chip_data ports = {
	.port_names = {
		[0] = "lan0",
		[4] = "lan4",
		[CPU_PORT] = "cpu",
	},
};

static enum dsa_tag_protocol
test_get_tag_protocol(struct dsa_switch *ds, int port,
		      enum dsa_tag_protocol proto)
{
	return strcmp(tag, "dsa") ? DSA_TAG_PROTO_MTK : DSA_TAG_PROTO_DSA;
}

static int test_setup(struct dsa_switch *ds)
{
	return 0;
}

static int test_phy_read(struct dsa_switch *ds, int port, int reg)
{
	struct fixed_phy_status status = {
		.speed = SPEED_1000,
		.duplex = DUPLEX_FULL,
		.link = READ_ONCE(link[port]),
	};

	return swphy_read_reg(reg, &status);
}

static int test_phy_write(struct dsa_switch *ds, int port, int reg, u16 value)
{
	return 0;
}

static void test_phylink_get_caps(struct dsa_switch *ds, int port,
				  struct phylink_config *config)
{
	__set_bit(PHY_INTERFACE_MODE_GMII, config->supported_interfaces);
	config->mac_capabilities = MAC_1000FD;
}

static const struct dsa_switch_ops test_ops = {
	.get_tag_protocol = test_get_tag_protocol,
	.setup = test_setup,
	.phy_read = test_phy_read,
	.phy_write = test_phy_write,
	.phylink_get_caps = test_phylink_get_caps,
};

static int test_setup_tc(struct net_device *dev, enum tc_setup_type type,
			 void *data)
{
	return type == TC_SETUP_FT ? 0 : -EOPNOTSUPP;
}

static void lend_ops(void)
{
	rtnl_lock();
	conduit_ops = conduit_dev->netdev_ops;
	lent_ops = *conduit_ops;
	lent_ops.ndo_setup_tc = test_setup_tc;
	conduit_dev->netdev_ops = &lent_ops;
	rtnl_unlock();
}

static void return_ops(void)
{
	rtnl_lock();
	conduit_dev->netdev_ops = conduit_ops;
	rtnl_unlock();
	/* Who has read the pointer before may still use it. */
	synchronize_net();
}

static int __init test_probe(struct platform_device *pdev)
{
	struct dsa_chip_data *data = dev_get_platdata(&pdev->dev);
	struct dsa_switch *ds;

	ds = devm_kzalloc(&pdev->dev, sizeof(*ds), GFP_KERNEL);
	if (!ds)
		return -ENOMEM;

	data->netdev[CPU_PORT] = &conduit_dev->dev;
	ds->dev = &pdev->dev;
	ds->num_ports = PORTS;
	ds->ops = &test_ops;
	platform_set_drvdata(pdev, ds);
	return dsa_register_switch(ds);
}

static void test_remove(struct platform_device *pdev)
{
	dsa_unregister_switch(platform_get_drvdata(pdev));
}

static struct platform_driver test_driver = {
	.driver = {
		.name = "nft_offload_switch",
	},
	.remove = test_remove,
};

static int __init test_init(void)
{
	conduit_dev = dev_get_by_name(&init_net, conduit);
	if (!conduit_dev)
		return -ENODEV;

	lend_ops();
	device = platform_create_bundle(&test_driver, test_probe, NULL, 0,
					&ports, sizeof(ports));
	if (IS_ERR(device)) {
		return_ops();
		dev_put(conduit_dev);
		return PTR_ERR(device);
	}
	return 0;
}
module_init(test_init);

static void __exit test_exit(void)
{
	platform_device_unregister(device);
	platform_driver_unregister(&test_driver);
	return_ops();
	dev_put(conduit_dev);
}
module_exit(test_exit);

MODULE_DESCRIPTION("A switch without hardware, for tests of nft_offload");
MODULE_LICENSE("GPL");
