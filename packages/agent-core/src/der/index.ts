export { normaliseBer } from './ber.ts'
export {
  type BitString,
  decodeOid,
  expectTag,
  integerBytes,
  malformed,
  readBitString,
  readBoolean,
  readChildren,
  readCount,
  readDer,
  readInteger,
  readOctetString,
  readOid,
  readSequence,
  type Tlv,
} from './reader.ts'
export { constructed, primitive, Tag } from './tags.ts'
export { readText, readTime } from './text.ts'
export {
  bitString,
  boolean,
  explicit,
  ia5String,
  integer,
  isOid,
  isPrintable,
  nullValue,
  octetString,
  oid,
  printableString,
  sequence,
  setOf,
  time,
  tlv,
  utf8String,
} from './writer.ts'
