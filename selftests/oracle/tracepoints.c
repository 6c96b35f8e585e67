// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's tracepoints without their events in tracefs, which exist once: the
 * tests load this module beside the other one. So a bench executes the same
 * instructions as the module does.
 */

#include "../../rust/tracepoints.h"

#define PROTO(type)	TP_PROTO(const struct nft_offload_trace_##type *it)

DEFINE_TRACE(nft_offload_bind, PROTO(flow), TP_ARGS(it));
__DEFINE_RUST_DO_TRACE(nft_offload_bind, PROTO(flow), TP_ARGS(it))

DEFINE_TRACE(nft_offload_unbind, PROTO(flow), TP_ARGS(it));
__DEFINE_RUST_DO_TRACE(nft_offload_unbind, PROTO(flow), TP_ARGS(it))

DEFINE_TRACE(nft_offload_evict, PROTO(flow), TP_ARGS(it));
__DEFINE_RUST_DO_TRACE(nft_offload_evict, PROTO(flow), TP_ARGS(it))

DEFINE_TRACE(nft_offload_reject, PROTO(reject), TP_ARGS(it));
__DEFINE_RUST_DO_TRACE(nft_offload_reject, PROTO(reject), TP_ARGS(it))

DEFINE_TRACE(nft_offload_quarantine, PROTO(quarantine), TP_ARGS(it));
__DEFINE_RUST_DO_TRACE(nft_offload_quarantine, PROTO(quarantine), TP_ARGS(it))
