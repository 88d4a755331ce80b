export { describeStruct, type MemberDescription, type StructDescription, typeName } from './btf/describe.ts';
export { BtfError } from './btf/error.ts';
export { locateBtf } from './btf/locate.ts';
export { renderStruct } from './btf/render.ts';
export { Btf, type BtfMember, type BtfStruct } from './btf/types.ts';
