// SPDX-License-Identifier: GPL-2.0-only

#include <linux/device.h>
#include <linux/err.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "helpers.h"

struct attr {
	struct device_attribute attr;
	const struct nft_offload_attr *ours;
};

struct nft_offload_attrs {
	struct attribute_group group;
	/* NULL ends the list. */
	struct attribute **list;
	struct attr attrs[];
};

static ssize_t attr_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct nft_offload_attr *ours = container_of(attr, struct attr, attr)->ours;

	return ours->show(ours, buf, PAGE_SIZE);
}

static ssize_t attr_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t len)
{
	const struct nft_offload_attr *ours = container_of(attr, struct attr, attr)->ours;
	char *text;
	int err;

	text = kmemdup_nul(buf, len, GFP_KERNEL);
	if (!text)
		return -ENOMEM;
	err = strlen(text) == len ? ours->store(ours, strim(text)) : -EINVAL;
	kfree(text);
	return err ?: len;
}

static void attrs_free(struct nft_offload_attrs *attrs)
{
	kfree(attrs->list);
	kfree(attrs);
}

/* Adds a directory @name of files to the directory of @dev. */
struct nft_offload_attrs *
nft_offload_helper_attrs_add(struct device *dev, const char *name,
			     const struct nft_offload_attr *const *ours, size_t count)
{
	struct nft_offload_attrs *attrs;
	size_t i;
	int err;

	attrs = kzalloc(struct_size(attrs, attrs, count), GFP_KERNEL);
	if (!attrs)
		return ERR_PTR(-ENOMEM);
	attrs->list = kcalloc(count + 1, sizeof(*attrs->list), GFP_KERNEL);
	if (!attrs->list) {
		attrs_free(attrs);
		return ERR_PTR(-ENOMEM);
	}

	for (i = 0; i < count; i++) {
		struct device_attribute *attr = &attrs->attrs[i].attr;

		sysfs_attr_init(&attr->attr);
		attr->attr.name = ours[i]->name;
		if (ours[i]->show) {
			attr->attr.mode |= 0444;
			attr->show = attr_show;
		}
		if (ours[i]->store) {
			attr->attr.mode |= 0200;
			attr->store = attr_store;
		}
		attrs->attrs[i].ours = ours[i];
		attrs->list[i] = &attr->attr;
	}
	attrs->group.name = name;
	attrs->group.attrs = attrs->list;

	err = sysfs_create_group(&dev->kobj, &attrs->group);
	if (err) {
		attrs_free(attrs);
		return ERR_PTR(err);
	}
	return attrs;
}

/* Returns after the last call of show or store has returned. */
void nft_offload_helper_attrs_remove(struct device *dev, struct nft_offload_attrs *attrs)
{
	sysfs_remove_group(&dev->kobj, &attrs->group);
	attrs_free(attrs);
}
