//! Where every field lies that a scan reads, resolved once per target from its debug information. The readers above
//! see a [`Layout`], never a Go version number; no byte offset is written anywhere else.

mod field;
mod heap;
mod sched;
mod stats;

pub use field::{ArrayField, Field, LayoutError, Resolve};
pub use heap::*;
pub use sched::*;
pub use stats::*;

use crate::image::types::TypeSource;

/// Every structure of the runtime that a scan reads.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    missing_docs,
    reason = "each field is the layout of the runtime structure it is named after"
)]
pub struct Layout {
    pub mheap: MheapLayout,
    pub heap_arena: HeapArenaLayout,
    pub mspan: MspanLayout,
    pub mcentral: McentralLayout,
    pub span_set: SpanSetLayout,
    pub span_set_block: SpanSetBlockLayout,
    pub mcache: McacheLayout,
    pub stack_free_list: StackFreeListLayout,
    pub fixalloc: FixallocLayout,
    pub palloc_data: PallocDataLayout,
    pub addr_range: AddrRangeLayout,
    pub mspan_list: MSpanListLayout,
    pub mstats: MstatsLayout,
    pub heap_stats_delta: HeapStatsDeltaLayout,
    pub gc_controller: GcControllerLayout,
    pub work: WorkLayout,
    pub sweep: SweepLayout,
    pub scavenge: ScavengeLayout,
    pub scavenger: ScavengerLayout,
    pub debug: DebugLayout,
    pub sched: SchedLayout,
    pub p: PLayout,
    pub g: GLayout,
    pub moduledata: ModuledataLayout,
    pub textsect: TextsectLayout,
    pub abi_type: Option<TypeLayout>,
    pub stackpool: StackpoolLayout,
    pub stackpool_shape: GlobalArray,
    pub stack_large: StackLargeLayout,
    pub wait_reason_strings: GlobalArray,
    pub inline_marks: Option<InlineMarksLayout>,
}

impl Layout {
    /// Resolves the whole layout, or names the first structure or field that is missing.
    pub fn resolve(types: &dyn TypeSource) -> Result<Layout, LayoutError> {
        Ok(Layout {
            mheap: MheapLayout::resolve(types)?,
            heap_arena: HeapArenaLayout::resolve(types)?,
            mspan: MspanLayout::resolve(types)?,
            mcentral: McentralLayout::resolve(types)?,
            span_set: SpanSetLayout::resolve(types)?,
            span_set_block: SpanSetBlockLayout::resolve(types)?,
            mcache: McacheLayout::resolve(types)?,
            stack_free_list: StackFreeListLayout::resolve(types)?,
            fixalloc: FixallocLayout::resolve(types)?,
            palloc_data: PallocDataLayout::resolve(types)?,
            addr_range: AddrRangeLayout::resolve(types)?,
            mspan_list: MSpanListLayout::resolve(types)?,
            mstats: MstatsLayout::resolve(types)?,
            heap_stats_delta: HeapStatsDeltaLayout::resolve(types)?,
            gc_controller: GcControllerLayout::resolve(types)?,
            work: WorkLayout::resolve(types)?,
            sweep: SweepLayout::resolve(types)?,
            scavenge: ScavengeLayout::resolve(types)?,
            scavenger: ScavengerLayout::resolve(types)?,
            debug: DebugLayout::resolve(types)?,
            sched: SchedLayout::resolve(types)?,
            p: PLayout::resolve(types)?,
            g: GLayout::resolve(types)?,
            moduledata: ModuledataLayout::resolve(types)?,
            textsect: TextsectLayout::resolve(types)?,
            abi_type: TypeLayout::resolve(types).ok(),
            stackpool: StackpoolLayout::resolve(types)?,
            stackpool_shape: global_array(types, "&runtime.stackpool")?,
            stack_large: StackLargeLayout::resolve(types)?,
            wait_reason_strings: global_array(types, "&runtime.waitReasonStrings")?,
            inline_marks: match types.size_of("runtime.spanInlineMarkBits") {
                Some(_) => Some(InlineMarksLayout::resolve(types)?),
                None => None,
            },
        })
    }
}

/// Shape of a global that is an array as a whole.
fn global_array(types: &dyn TypeSource, root: &'static str) -> Result<GlobalArray, LayoutError> {
    let size = field::size_of(types, root)?;
    let element = types.field(root, "[]").ok_or(LayoutError::NoField(root, "[]"))?;
    match size.checked_div(element.size) {
        Some(len) if len > 0 => Ok(GlobalArray {
            len,
            stride: element.size,
        }),
        _ => Err(LayoutError::Shape(root, "[]")),
    }
}
