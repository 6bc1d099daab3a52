//! Layout of the heap's structures: runtime/mheap.go, mcentral.go, mcache.go, mspanset.go, mpagealloc.go,
//! mpagecache.go, mfixalloc.go, stack.go.

use super::field::{ArrayField, Field, runtime_structs};

runtime_structs! {
    /// runtime/mheap.go `mheap`.
    MheapLayout = "runtime.mheap" {
        sweepgen: Field = "sweepgen",
        allspans: Field = "allspans",
        pages_in_use: Field = "pagesInUse",
        /// `arenas [1]*[1<<22]*heapArena`; the first level is one pointer on 64-bit Linux.
        arenas: ArrayField = "arenas",
        /// 1.25 split `allArenas` into heap and user arenas.
        heap_arenas: Field = "heapArenas|allArenas",
        user_arenas: Option<Field> = "userArenaArenas",
        central: ArrayField = "central",
        mcentral: Field = "central.[].mcentral",
        spanalloc: Field = "spanalloc",
        cachealloc: Field = "cachealloc",
        chunks: ArrayField = "pages.chunks",
        in_use: Field = "pages.inUse.ranges",
        in_use_bytes: Field = "pages.inUse.totalBytes",
        summary: ArrayField = "pages.summary",
        scavenge_chunks: Field = "pages.scav.index.chunks",
        released_background: Option<Field> = "pages.scav.releasedBg",
        released_eager: Option<Field> = "pages.scav.releasedEager",
    }
    /// runtime/mheap.go `heapArena`.
    HeapArenaLayout = "runtime.heapArena" {
        page_in_use: ArrayField = "pageInUse",
        zeroed_base: Field = "zeroedBase",
        spans: ArrayField = "spans",
    }
    /// runtime/mheap.go `mspan`.
    MspanLayout = "runtime.mspan" {
        next: Field = "next",
        start_addr: Field = "startAddr",
        npages: Field = "npages",
        freeindex: Field = "freeindex",
        nelems: Field = "nelems",
        alloc_bits: Field = "allocBits",
        gcmark_bits: Field = "gcmarkBits",
        sweepgen: Field = "sweepgen",
        alloc_count: Field = "allocCount",
        spanclass: Field = "spanclass",
        state: Field = "state",
        is_user_arena_chunk: Option<Field> = "isUserArenaChunk",
        alloc_count_before_cache: Field = "allocCountBeforeCache",
        elemsize: Field = "elemsize",
        limit: Field = "limit",
        large_type: Option<Field> = "largeType",
    }
    /// runtime/mcentral.go `mcentral`.
    McentralLayout = "runtime.mcentral" {
        spanclass: Field = "spanclass",
        partial: ArrayField = "partial",
        full: ArrayField = "full",
    }
    /// runtime/mspanset.go `spanSet`.
    SpanSetLayout = "runtime.spanSet" {
        spine: Field = "spine",
        spine_len: Field = "spineLen",
        index: Field = "index",
    }
    /// runtime/mspanset.go `spanSetBlock`.
    SpanSetBlockLayout = "runtime.spanSetBlock" {
        spans: ArrayField = "spans",
    }
    /// runtime/mcache.go `mcache`.
    McacheLayout = "runtime.mcache" {
        tiny: Field = "tiny",
        tinyoffset: Field = "tinyoffset",
        tiny_allocs: Field = "tinyAllocs",
        alloc: ArrayField = "alloc",
        stackcache: ArrayField = "stackcache",
        flush_gen: Field = "flushGen",
    }
    /// runtime/mcache.go `stackfreelist`.
    StackFreeListLayout = "runtime.stackfreelist" {
        list: Field = "list",
        bytes: Field = "size",
    }
    /// runtime/mfixalloc.go `fixalloc`.
    FixallocLayout = "runtime.fixalloc" {
        list: Field = "list",
        inuse: Field = "inuse",
        /// Bytes of each structure that it allocates.
        elem_size: Option<Field> = "size",
    }
    /// runtime/mpagealloc.go `pallocData`.
    PallocDataLayout = "runtime.pallocData" {
        alloc: Field = "pallocBits",
        scavenged: Field = "scavenged",
    }
    /// runtime/mranges.go `addrRange`.
    AddrRangeLayout = "runtime.addrRange" {
        base: Field = "base.a|base",
        limit: Field = "limit.a|limit",
    }
    /// runtime/mheap.go `mSpanList`.
    MSpanListLayout = "runtime.mSpanList" {
        first: Field = "first",
    }
}

runtime_structs! {
    /// runtime/mgcmark_greenteagc.go `spanInlineMarkBits`: the last bytes of a small-object span's page. Present only
    /// where the Green Tea collector is built in.
    InlineMarksLayout = "runtime.spanInlineMarkBits" {
        marks: ArrayField = "marks",
    }
}

runtime_structs! {
    /// internal/abi/type.go `Type`.
    TypeLayout = "internal/abi.Type" {
        str_off: Field = "Str",
        tflag: Field = "TFlag",
    }
}
