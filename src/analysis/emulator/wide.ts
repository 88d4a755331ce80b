/** Multiplication and division of 64-bit values held as 32-bit words, into scratch arrays that are reused. */

/** The product of the last {@link multiply}: four words, lowest first. */
export const product = new Int32Array(4);
/** Quotient of the last {@link divide}: two words. */
export const quotient = new Int32Array(2);
/** Remainder of the last {@link divide}: two words. */
export const remainder = new Int32Array(2);

/** The upper 32 bits of the 64-bit product of two unsigned words. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const carry = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(carry / 0x10000)) | 0;
}

/** 64 x 64 bits, unsigned, into {@link product}. */
export function multiply(aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  product[0] = Math.imul(aLow, bLow);
  const word1 =
    (multiplyHigh(aLow, bLow) >>> 0) + (Math.imul(aLow, bHigh) >>> 0) + (Math.imul(aHigh, bLow) >>> 0);
  product[1] = word1 | 0;
  const word2 =
    Math.floor(word1 / 0x1_0000_0000) +
    (multiplyHigh(aLow, bHigh) >>> 0) +
    (multiplyHigh(aHigh, bLow) >>> 0) +
    (Math.imul(aHigh, bHigh) >>> 0);
  product[2] = word2 | 0;
  product[3] = (Math.floor(word2 / 0x1_0000_0000) + multiplyHigh(aHigh, bHigh)) | 0;
}

/** 64 x 64 bits, signed, into {@link product}. */
export function multiplySigned(aLow: number, aHigh: number, bLow: number, bHigh: number): void {
  multiply(aLow, aHigh, bLow, bHigh);
  if (aHigh < 0) subtractFromUpperHalf(bLow, bHigh);
  if (bHigh < 0) subtractFromUpperHalf(aLow, aHigh);
}

function subtractFromUpperHalf(low: number, high: number): void {
  const difference = ((product[2] ?? 0) >>> 0) - (low >>> 0);
  product[2] = difference | 0;
  product[3] = ((product[3] ?? 0) - high - (difference < 0 ? 1 : 0)) | 0;
}

/** Whether an unsigned 64-bit value is below another. */
function below(aLow: number, aHigh: number, bLow: number, bHigh: number): boolean {
  return aHigh >>> 0 < bHigh >>> 0 || (aHigh === bHigh && aLow >>> 0 < bLow >>> 0);
}

/**
 * 128 by 64 bits, unsigned, dividend words lowest first; false when the divisor is zero or the quotient does
 * not fit.
 */
export function divide(w0: number, w1: number, w2: number, w3: number, low: number, high: number): boolean {
  if (!below(w2, w3, low, high)) return false;
  if ((w2 | w3 | high) === 0 && w1 >>> 0 < 0x20_0000) {
    const dividend = (w1 >>> 0) * 0x1_0000_0000 + (w0 >>> 0);
    const divisor = low >>> 0;
    const result = Math.floor(dividend / divisor);
    setPair(quotient, result | 0, (result / 0x1_0000_0000) | 0);
    setPair(remainder, (dividend % divisor) | 0, 0);
    return true;
  }
  divideBitwise(w0, w1, w2, w3, low, high);
  return true;
}

function divideBitwise(w0: number, w1: number, w2: number, w3: number, low: number, high: number): void {
  let [quotientLow, quotientHigh, restLow, restHigh] = [w0, w1, w2, w3];
  for (let i = 0; i < 64; i++) {
    const overflow = restHigh < 0;
    restHigh = (restHigh << 1) | (restLow >>> 31);
    restLow = (restLow << 1) | (quotientHigh >>> 31);
    quotientHigh = (quotientHigh << 1) | (quotientLow >>> 31);
    quotientLow <<= 1;
    if (overflow || !below(restLow, restHigh, low, high)) {
      restHigh = (restHigh - high - (restLow >>> 0 < low >>> 0 ? 1 : 0)) | 0;
      restLow = (restLow - low) | 0;
      quotientLow |= 1;
    }
  }
  setPair(quotient, quotientLow, quotientHigh);
  setPair(remainder, restLow, restHigh);
}

/** Negates a pair in place. */
export function negatePair(pair: Int32Array): void {
  const low = pair[0] ?? 0;
  setPair(pair, -low | 0, (~(pair[1] ?? 0) + (low === 0 ? 1 : 0)) | 0);
}

function setPair(pair: Int32Array, low: number, high: number): void {
  pair[0] = low;
  pair[1] = high;
}
