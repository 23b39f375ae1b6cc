import { inflateSync } from 'node:zlib'

type Colour = readonly [red: number, green: number, blue: number]

/** Of a PNG (8 bits, RGB or RGBA, not interlaced): how many pixels are near each colour, 0 to 255 a part. */
export function pixelsNear(png: Uint8Array, colours: readonly Colour[], tolerance = 12): number[] {
  const { rows, bytesPerPixel } = decode(Buffer.from(png))
  const near = (a: number, b: number) => Math.abs(a - b) <= tolerance
  return colours.map(([red, green, blue]) => {
    let count = 0
    for (const row of rows) {
      for (let i = 0; i < row.length; i += bytesPerPixel) {
        if (near(row[i] as number, red) && near(row[i + 1] as number, green) && near(row[i + 2] as number, blue)) count++
      }
    }
    return count
  })
}

function decode(png: Buffer): { rows: Buffer[]; bytesPerPixel: number } {
  const chunks = [...chunksOf(png)]
  const header = (chunks.find(({ type }) => type === 'IHDR') as { data: Buffer }).data
  const bytesPerPixel = header[9] === 6 ? 4 : 3
  const stride = header.readUInt32BE(0) * bytesPerPixel
  const raw = inflateSync(Buffer.concat(chunks.filter(({ type }) => type === 'IDAT').map(({ data }) => data)))
  const rows: Buffer[] = []
  let above: Buffer = Buffer.alloc(stride)
  for (let at = 0; at < raw.length; at += stride + 1) {
    above = unfiltered(raw[at] as number, raw.subarray(at + 1, at + 1 + stride), above, bytesPerPixel)
    rows.push(above)
  }
  return { rows, bytesPerPixel }
}

function* chunksOf(png: Buffer): Generator<{ type: string; data: Buffer }> {
  for (let at = 8; at < png.length; ) {
    const length = png.readUInt32BE(at)
    yield { type: png.toString('latin1', at + 4, at + 8), data: png.subarray(at + 8, at + 8 + length) }
    at += length + 12
  }
}

/** PNG 9.2. */
function unfiltered(filter: number, line: Buffer, above: Buffer, bytesPerPixel: number): Buffer {
  const predict = predictions[filter] as (typeof predictions)[0]
  const row = Buffer.alloc(line.length)
  for (let i = 0; i < line.length; i++) {
    const isFirst = i < bytesPerPixel
    const a = isFirst ? 0 : (row[i - bytesPerPixel] as number)
    const c = isFirst ? 0 : (above[i - bytesPerPixel] as number)
    row[i] = (line[i] as number) + predict(a, above[i] as number, c)
  }
  return row
}

const predictions: readonly ((a: number, b: number, c: number) => number)[] = [
  () => 0,
  (a) => a,
  (_a, b) => b,
  (a, b) => (a + b) >> 1,
  paeth,
]

function paeth(a: number, b: number, c: number): number {
  const [toA, toB, toC] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)]
  return toA <= toB && toA <= toC ? a : toB <= toC ? b : c
}
