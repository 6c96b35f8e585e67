// SPDX-License-Identifier: GPL-2.0-only
/*
 * The module's tracepoints without their events in tracefs, which exist once: the
 * tests load this module beside the other one. So a bench executes the same
 * instructions as the module does.
 */

#include "../../rust/tracepoints.h"

#define DEFINE_TRACEPOINT(name, type, arg)				\
	DEFINE_TRACE(name, TP_PROTO(const struct type *arg), TP_ARGS(arg)); \
	__DEFINE_RUST_DO_TRACE(name, TP_PROTO(const struct type *arg), TP_ARGS(arg))

DEFINE_TRACEPOINT(nft_offload_bind, nft_offload_trace_flow, flow)
DEFINE_TRACEPOINT(nft_offload_unbind, nft_offload_trace_flow, flow)
DEFINE_TRACEPOINT(nft_offload_evict, nft_offload_trace_flow, flow)
DEFINE_TRACEPOINT(nft_offload_reject, nft_offload_trace_reject, reject)
DEFINE_TRACEPOINT(nft_offload_quarantine, nft_offload_trace_quarantine, engine)
