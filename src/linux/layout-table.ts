/**
 * The kernel structures that Underwatch reads, and their members. Names are the kernel's; where kernels differ,
 * the alternatives stand in the order in which they are tried. Only what every kernel since 5.10 has is
 * required.
 */

/** A member that every supported kernel has, under one of these paths. */
export interface RequiredMember {
  readonly paths: readonly string[];
  readonly optional: false;
}

/** A member that only some kernels or configurations have. */
export interface OptionalMember {
  readonly paths: readonly string[];
  readonly optional: true;
}

export type Members = Readonly<Record<string, RequiredMember | OptionalMember>>;

function required(...paths: string[]): RequiredMember {
  return { paths, optional: false };
}

function optional(...paths: string[]): OptionalMember {
  return { paths, optional: true };
}

/** Structures without which nothing can be read. */
export const REQUIRED_STRUCTS = {
  list_head: { next: required('next'), prev: required('prev') },
  rb_node: {
    rb_left: required('rb_left'),
    rb_right: required('rb_right'),
    parent: required('__rb_parent_color'),
  },
  task_struct: {
    tasks: required('tasks'),
    pid: required('pid'),
    tgid: required('tgid'),
    comm: required('comm'),
    /** `state` was renamed in 5.14 (2f064a59a11f). */
    state: required('__state', 'state'),
    exit_state: required('exit_state'),
    flags: required('flags'),
    mm: required('mm'),
    stack: required('stack'),
    signal: required('signal'),
    thread_node: required('thread_node'),
    group_leader: required('group_leader'),
    real_parent: required('real_parent'),
    cred: required('cred'),
    start_time: required('start_time'),
    start_boottime: optional('start_boottime', 'real_start_time'),
    fs: required('fs'),
    nsproxy: required('nsproxy'),
    thread_pid: required('thread_pid'),
    cgroups: optional('cgroups'),
    sas_ss_sp: required('sas_ss_sp'),
    sas_ss_size: required('sas_ss_size'),
    thread_sp: optional('thread.sp'),
  },
  signal_struct: {
    thread_head: required('thread_head'),
    nr_threads: required('nr_threads'),
    pids: required('pids'),
  },
  pid: { level: required('level'), numbers: required('numbers') },
  upid: { nr: required('nr'), ns: required('ns') },
  nsproxy: { mnt_ns: required('mnt_ns') },
  cred: {
    uid: required('uid'),
    gid: required('gid'),
    euid: required('euid'),
    egid: required('egid'),
    suid: required('suid'),
    sgid: required('sgid'),
    fsuid: required('fsuid'),
    fsgid: required('fsgid'),
    cap_effective: required('cap_effective'),
  },
  mm_struct: {
    pgd: required('pgd'),
    mm_users: required('mm_users'),
    map_count: required('map_count'),
    /** Absent with PREEMPT_RT, whose locks are built differently. */
    mmap_lock: optional('mmap_lock.count'),
    start_code: required('start_code'),
    end_code: required('end_code'),
    start_data: required('start_data'),
    end_data: required('end_data'),
    start_brk: required('start_brk'),
    brk: required('brk'),
    start_stack: required('start_stack'),
    arg_start: required('arg_start'),
    arg_end: required('arg_end'),
    env_start: required('env_start'),
    env_end: required('env_end'),
    exe_file: required('exe_file'),
    task_size: required('task_size'),
    mmlist: required('mmlist'),
    flags: optional('flags'),
    vdso: optional('context.vdso'),
    context_flags: optional('context.flags'),
    context_ia32_compat: optional('context.ia32_compat'),
    /** List and red-black tree of VMAs, up to 6.0. */
    mmap: optional('mmap'),
    mm_rb: optional('mm_rb'),
    /** Root of the maple tree of VMAs, since 6.1. */
    mm_mt_root: optional('mm_mt.ma_root'),
  },
  vm_area_struct: {
    vm_start: required('vm_start'),
    vm_end: required('vm_end'),
    vm_mm: required('vm_mm'),
    vm_page_prot: required('vm_page_prot'),
    vm_flags: required('vm_flags', '__vm_flags'),
    vm_pgoff: required('vm_pgoff'),
    vm_file: required('vm_file'),
    vm_ops: required('vm_ops'),
    vm_private_data: required('vm_private_data'),
    anon_vma: required('anon_vma'),
    shared: required('shared'),
    anon_name: optional('anon_name'),
    vm_next: optional('vm_next'),
    vm_prev: optional('vm_prev'),
    vm_rb: optional('vm_rb'),
  },
  vm_operations_struct: { name: required('name') },
  vm_special_mapping: { name: required('name') },
  file: {
    mnt: required('f_path.mnt'),
    dentry: required('f_path.dentry'),
    f_inode: required('f_inode'),
    f_mode: required('f_mode'),
    f_op: required('f_op'),
    private_data: required('private_data'),
  },
  path: { mnt: required('mnt'), dentry: required('dentry') },
  fs_struct: { root: required('root'), pwd: required('pwd') },
  dentry: {
    d_parent: required('d_parent'),
    name: required('d_name.name'),
    name_length: required('d_name.len'),
    /** Back link in the hash chain: null when unhashed (`d_unhashed()`). */
    hash_pprev: required('d_hash.pprev'),
    d_inode: required('d_inode'),
    d_op: required('d_op'),
    d_sb: required('d_sb'),
  },
  dentry_operations: { d_dname: required('d_dname') },
  vfsmount: { mnt_root: required('mnt_root'), mnt_sb: required('mnt_sb') },
  mount: {
    mnt: required('mnt'),
    mnt_parent: required('mnt_parent'),
    mnt_mountpoint: required('mnt_mountpoint'),
  },
  inode: { i_sb: required('i_sb'), i_ino: required('i_ino'), i_mode: required('i_mode') },
  super_block: { s_dev: required('s_dev'), s_type: required('s_type') },
  file_system_type: { name: required('name') },
} as const satisfies Readonly<Record<string, Members>>;

/** Structures that only some kernels have; all their members are needed then. */
export const OPTIONAL_STRUCTS = {
  /** Since 6.1; both node formats overlay the same 256 bytes. */
  maple_node: {
    parent: required('parent'),
    range_pivots: required('mr64.pivot'),
    range_slots: required('mr64.slot'),
    arange_pivots: required('ma64.pivot'),
    arange_slots: required('ma64.slot'),
  },
  anon_vma_name: { name: required('name') },
  /** Since 6.7 (def3ae83da02), a file of an overlay keeps the path that the user opened. */
  backing_file: {
    file: required('file'),
    user_mnt: required('user_path.mnt'),
    user_dentry: required('user_path.dentry'),
  },
  /** 6.2 to 6.14: the per-CPU variables used most. */
  pcpu_hot: { current_task: required('current_task') },
  css_set: { dfl_cgrp: required('dfl_cgrp') },
  cgroup: { kn: required('kn') },
  kernfs_node: { parent: required('__parent', 'parent'), name: required('name') },
} as const satisfies Readonly<Record<string, Members>>;
