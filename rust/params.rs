// SPDX-License-Identifier: GPL-2.0-only

//! The module's parameters, read alike on all series.

use kernel::module_param::ModuleParamAccess;

/// What a parameter was given when the module was loaded, or its default.
pub fn value<T: Copy>(parameter: &ModuleParamAccess<T>) -> T {
    #[cfg(kernel_7_2)]
    let value = *parameter.value();
    #[cfg(not(kernel_7_2))]
    let value = parameter.value();
    value
}
