//! Where fields lie in three releases, typed in by hand from the reference's Appendix A (DWARF of go1.19.8, go1.22.10
//! and go1.26.6, linux/amd64). Nothing here comes from the crate, so a mistake in its layouts cannot hide.
//!
//! A line without indent names a type and its sizes; an indented one a field: name, shape, offsets per release. A
//! shape is a size in bytes, `@type`, `N*shape`, or `N*STRIDE@type`, with `|` between releases; `-` is "not there".

/// The columns of [`STRUCTS`], oldest first.
pub const COLUMNS: [&str; 3] = ["1.19", "1.22", "1.26"];

/// Structures, and the anonymous types of variables under the variable's name.
pub const STRUCTS: &str = "
runtime.mheap 92672 92856 93464
  pages @pageAlloc 16 8 8
  sweepgen 4 65848 65856 65856
  allspans 24 65856 65864 65864
  pagesInUse 8 65880 65888 65888
  reclaimIndex 8 65920 65928 65928
  arenas 1*8 65936 66008 66008
  heapArenas 24 - - 66096
  userArenaArenas 24 - - 66120
  allArenas 24 66016 66096 -
  curArena @curArena 66088 66168 66192
  central 136*192@central 66112 66184 66208
  spanalloc @runtime.fixalloc 92224 92296 92320
  cachealloc @runtime.fixalloc 92296 92368 92464
pageAlloc 65832 65848 65848
  summary 5*24 0 0 0
  chunks 8192*8 120 120 120
  inUse @addrRanges 65680 65680 65680
  scav @pageAllocScav 65728 65720 65720
pageAllocScav 72 96 96
  index @scavengeIndex 0 0 0
  releasedBg 8 - 80 80
  releasedEager 8 - 88 88
scavengeIndex 48 80 80
  chunks 24 8 0 0
addrRanges 40 40 40
  ranges 24 0 0 0
  totalBytes 8 24 24 24
curArena 16 16 16
  base 8 0 0 0
  end 8 8 8 8
central 192 192 192
  mcentral @runtime.mcentral 0 0 0
runtime.heapArena 2165776 68624 69648
  spans 8192*8 2097152 0 0
  pageInUse 1024*1 2162688 65536 65536
  zeroedBase 8 2165768 68616 69640
runtime.mspan 144 160 160
  next 8 0 0 0
  startAddr 8 24 24 24
  npages 8 32 32 32
  manualFreeList 8 40 40 40
  freeindex 8|2|2 48 48 48
  nelems 8|2|2 56 50 50
  allocBits 8 72 64 64
  gcmarkBits 8 80 72 72
  sweepgen 4 88 88 88
  allocCount 2 96 96 96
  spanclass 1 98 98 98
  state 1 99 99 99
  isUserArenaChunk 1 - 101 101
  allocCountBeforeCache 2 102 102 102
  elemsize 8 104 104 104
  limit 8 112 112 112
  largeType 8 - 152 152
runtime.mcentral 168 168 168
  spanclass 1 0 0 0
  partial 2*40 8 8 8
  full 2*40 88 88 88
runtime.spanSet 40 40 40
  spine 8 8 8 8
  spineLen 8 16 16 16
  spineCap 8 24 24 24
  index 8 32 32 32
runtime.spanSetBlock 4120 4120 4608
  spans 512*8 24 24 512
runtime.mcache 1200 1200 2296
  tiny 8 16 16 24
  tinyoffset 8 24 24 32
  tinyAllocs 8 32 32 40
  alloc 136*8 40 40 48
  stackcache 4*16 1128 1128 2224
  flushGen 4 1192 1192 2288
runtime.stackfreelist 16 16 16
  list 8 0 0 0
  size 8 8 8 8
runtime.fixalloc 72 72 72
  size 8 0 0 0
  list 8 24 24 24
  inuse 8 48 48 48
runtime.pallocData 128 128 128
  pallocBits 64 0 0 0
  scavenged 64 64 64 64
runtime.addrRange 16 16 16
  base @offAddr 0 0 0
  limit @offAddr 8 8 8
offAddr 8 8 8
  a 8 0 0 0
runtime.mSpanList 16 16 16
  first 8 0 0 0
  last 8 8 8 8
runtime.spanInlineMarkBits - - 128
  scans 63*1 - - 0
  owned 1 - - 63
  marks 63*1 - - 64
  class 1 - - 127
runtime.mstats 13512 7744 10440
  heapStats @consistentHeapStats 0 0 0
  stacks_sys 8 3544 3544 3520
  mspan_sys 8 3552 3552 3528
  mcache_sys 8 3560 3560 3536
  buckhash_sys 8 3568 3568 3544
  gcMiscSys 8 3576 3576 3552
  other_sys 8 3584 3584 3560
  last_gc_unix 8 3592 3592 3568
  pause_total_ns 8 3600 3600 3576
  pause_ns 256*8 3608 3608 3584
  pause_end 256*8 5656 5656 5632
  numgc 4 7704 7704 7680
  numforcedgc 4 7708 7708 7684
  gc_cpu_fraction 8 7712 7712 7688
  last_gc_nanotime 8 7720 7720 7696
  lastHeapInUse 8 7728 7728 7704
consistentHeapStats 3544 3544 3520
  stats 3*1176@runtime.heapStatsDelta|3*1176@runtime.heapStatsDelta|3*1168@runtime.heapStatsDelta 0 0 0
  gen 4 3528 3528 3504
runtime.heapStatsDelta 1176 1176 1168
  committed 8 0 0 0
  released 8 8 8 8
  inHeap 8 16 16 16
  inStacks 8 24 24 24
  inWorkBufs 8 32 32 32
  inPtrScalarBits 8 40 40 -
  tinyAllocCount 8 48 48 40
  largeAlloc 8 56 56 48
  largeAllocCount 8 64 64 56
  smallAllocCount 68*8 72 72 64
  largeFree 8 616 616 608
  largeFreeCount 8 624 624 616
  smallFreeCount 68*8 632 632 624
runtime.gcControllerState 424 392 392
  gcPercent 4 0 0 0
  memoryLimit 8 8 8 8
  gcPercentHeapGoal 8 104 72 72
  sweepDistMinTrigger 8 112 80 80
  triggered 8 120 88 88
  lastHeapGoal 8 128 96 96
  heapLive 8 136 104 104
  heapMarked 8 184 152 152
  heapInUse 8 304 272 272
  heapReleased 8 312 280 280
  heapFree 8 320 288 288
  totalAlloc 8 328 296 296
  totalFree 8 336 304 304
  mappedReady 8 344 312 312
work 432 568 816
  wbufSpans @wbufSpans 80 144 144
  mode 8 272 336 528
  userForced 1 280 344 536
  cycles 4 344 400 648
  tSweepTerm 8 360 416 664
  tEnd 8 384 440 688
wbufSpans 40 40 40
  free @runtime.mSpanList 8 8 8
  busy @runtime.mSpanList 24 24 24
sweep 40 32 32
  active @activeSweep 28 20 20
activeSweep 4 4 4
  state 4 0 0 0
scavenge 16 32 32
  gcPercentGoal 8 0 0 0
  memoryLimitGoal 8 8 8 8
  assistTime 8 - 16 16
  backgroundTime 8 - 24 24
scavenger 112 112 112
  parked 1 16 16 16
debug 96 112 128
  gctrace 4 24 32 36
  invalidptr 4 32 40 48
  madvdontneed 4 36 44 52
  asyncpreemptoff 4 56 68 76
sched 6080 6824 6872
  nmidle 4 40 40 64
  mnext 8 48 48 72
  nmfreed 8 64 64 88
  ngsys 4 72 72 96
  npidle 4 88 88 112
  runq @gQueue 96 104 128
  runqsize 4 112 120 -
  gFree @schedFree 152 160 184
  gcwaiting 4|1|1 224 232 264
gQueue 16 16 24
  size 4 - - 16
schedFree 32 32 40
  stack @gList 8 8 8
  noStack @gList 16 16 24
  n 4 24 24 -
gList 8 8 16
  head 8 0 0 0
  size 4 - - 8
runtime.p 8912 8944 15920
  id 4 0 0 0
  status 4 4 4 4
  mcache 8 64 64 56
  pcache @pageCache 72 72 64
  deferpool 24 104 104 104
  runqhead 4 400 400 400
  runqtail 4 404 404 404
  runnext 8 2456 2456 2456
  gFree @pFree|@pFree|@gList 2464 2464 2464
  sudogcache 24 2480 2480 2480
  mspancache @mspancache 3528 3528 3528
  statsSeq 4 8828 8860 13668
  timers 24|24|@timers 8840 8872 13672
  numTimers 4 8864 8896 -
pFree 16 16 16
  gList @gList 0 0 0
  n 4 8 8 8
pageCache 24 24 24
  base 8 0 0 0
  cache 8 8 8 8
  scav 8 16 16 16
mspancache 1032 1032 1032
  len 8 0 0 0
timers - - 64
  len 4 - - 32
runtime.g 392 424 456
  stack @stack 0 0 0
  m 8 48 48 48
  atomicstatus 4 144 144 144
  goid 8 152 152 152
  schedlink 8 160 160 160
  waitsince 8 168 168 168
  waitreason 1 176 176 176
  lockedm 8 232 208 208
  runningCleanups 1 - - 220
  parentGoid 8 - 272 280
  gopc 8 296 280 288
  startpc 8 312 296 304
stack 16 16 16
  lo 8 0 0 0
  hi 8 8 8 8
runtime.moduledata 552 592 592
  pcHeader 8 0 0 0
  funcnametab 24 8 8 8
  cutab 24 32 32 32
  filetab 24 56 56 56
  pctab 24 80 80 80
  pclntable 24 104 104 104
  ftab 24 128 128 128
  minpc 8 160 160 160
  maxpc 8 168 168 168
  text 8 176 176 176
  etext 8 184 184 184
  types 8 280 296 296
  etypes 8 288 304 304
  gofunc 8 304 320 320
  textsectmap 24 312 328 336
  next 8 544 584 584
runtime.textsect 24 24 24
  vaddr 8 0 0 0
  end 8 8 8 8
  baseaddr 8 16 16 16
internal/abi.Type - 48 48
  TFlag 1 - 20 20
  Str 4 - 40 40
stackpool 256 256 256
  [] 4*64@stackpoolItem 0 0 0
stackpoolItem 64 64 64
  item @poolItem 0 0 0
poolItem 24 24 24
  span @runtime.mSpanList 8 8 8
stackLarge 568 568 568
  free 35*16@runtime.mSpanList 8 8 8
waitReasonStrings 432 592 752
  [] 27*16|37*16|47*16 0 0 0
";

/// Variables: name in package runtime, bytes, and the type above that describes them where there is one.
pub const GLOBALS: &[(&str, u64, &str)] = &[
    ("mheap_", 0, "runtime.mheap"),
    ("allgs", 24, ""),
    ("allp", 24, ""),
    ("gomaxprocs", 8, ""),
    ("sched", 0, "sched"),
    ("memstats", 0, "runtime.mstats"),
    ("gcController", 0, "runtime.gcControllerState"),
    ("work", 0, "work"),
    ("gcphase", 8, ""),
    ("sweep", 0, "sweep"),
    ("scavenge", 0, "scavenge"),
    ("scavenger", 0, "scavenger"),
    ("debug", 0, "debug"),
    ("emptymspan", 0, "runtime.mspan"),
    ("waitReasonStrings", 0, "waitReasonStrings"),
    ("stackpool", 0, "stackpool"),
    ("stackLarge", 0, "stackLarge"),
    ("firstmoduledata", 0, "runtime.moduledata"),
];

/// `_G*` constants of every release, and those of Go 1.26 and later.
pub const STATUS: &[(&str, i64)] = &[
    ("runtime._Gidle", 0),
    ("runtime._Grunnable", 1),
    ("runtime._Grunning", 2),
    ("runtime._Gsyscall", 3),
    ("runtime._Gwaiting", 4),
    ("runtime._Gdead", 6),
    ("runtime._Gcopystack", 8),
    ("runtime._Gpreempted", 9),
    ("runtime._Gscan", 0x1000),
];
pub const STATUS_126: &[(&str, i64)] = &[("runtime._Gleaked", 10), ("runtime._Gdeadextra", 11)];

/// Bytes of a slot, per size class (runtime/sizeclasses.go).
pub const CLASS_BYTES: [u64; 68] = [
    0, 8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352, 384, 416, 448,
    480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048, 2304, 2688, 3072, 3200, 3456, 4096,
    4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728, 10240, 10880, 12288, 13568, 14336, 16384, 18432, 19072,
    20480, 21760, 24576, 27264, 28672, 32768,
];

/// Pages of a span, per size class.
pub const CLASS_PAGES: [u64; 68] = [
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 1, 2,
    1, 2, 1, 3, 2, 3, 1, 3, 2, 3, 4, 5, 6, 1, 7, 6, 5, 4, 3, 5, 7, 2, 9, 7, 5, 8, 3, 10, 7, 4,
];
