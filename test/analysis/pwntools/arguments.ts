type TemplateArgument = string | number | readonly string[] | Readonly<Record<string, number>>;

/** Arguments of templates that have no usable defaults, by name; the same for both architectures unless told apart. */
export const ARGUMENTS: Readonly<Record<string, readonly TemplateArgument[]>> = {
  acceptloop_ipv4: [4444],
  bindsh: [4444, 'ipv4'],
  cat: ['/etc/hostname'],
  cat2: ['/etc/hostname'],
  connect: ['127.0.0.1', 4444],
  connectstager: ['127.0.0.1', 4444],
  echo: ['hello'],
  egghunter: ['EGG!'],
  findpeerstager: [4444],
  kill: [1],
  listen: [4444, 'ipv4'],
  push: [0x41414141],
  pushstr: ['/bin/sh'],
  readfile: ['/etc/hostname', 1],
  recvsize: [0],
  socketcall: [3, 3, 0, 16],
  stager: [0, 64],
};

/** What only one architecture's registers can express. */
export const ARGUMENTS_BY_ARCHITECTURE: Readonly<
  Record<'amd64' | 'i386', Readonly<Record<string, readonly TemplateArgument[]>>>
> = {
  amd64: {
    itoa: ['rax'],
    loader: ['rsp'],
    memcpy: ['rsp', 'rsp', 16],
    mov: ['rax', 'rsp'],
    pushstr_array: ['rax', ['sh', '-c', 'id']],
    readn: [0, 'rsp', 16],
    setregs: [{ rax: 1, rbx: 2 }],
    strcpy: ['rsp', 'rsp'],
    strlen: ['rsp'],
    xor: [0x41, 'rsp', 4],
  },
  i386: {
    connectstager: ['127.0.0.1', '4444'],
    findpeerstager: ['4444'],
    itoa: ['eax'],
    setregs: [{ eax: 1, ebx: 2 }],
    loader: ['esp'],
    memcpy: ['esp', 'esp', 16],
    mov: ['eax', 'esp'],
    pushstr_array: ['eax', ['sh', '-c', 'id']],
    readn: [0, 'esp', 16],
    stackarg: [0, 'eax'],
    strcpy: ['esp', 'esp'],
    strlen: ['esp'],
    xor: [0x41, 'esp', 4],
  },
};
