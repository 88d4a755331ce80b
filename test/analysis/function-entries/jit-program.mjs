// Makes V8 compile many functions with every tier, tells where the code lies (--perf-basic-prof), then sleeps.
const bodies = [
  'let s = 0; for (let i = 0; i < n; i++) s = (s * K + i) | 0; return s;',
  'let s = ""; for (let i = 0; i < n % 40; i++) s += String.fromCharCode(65 + ((i * K) % 26)); return s;',
  'const a = new Int32Array(64); for (let i = 0; i < n; i++) a[i & 63] ^= i * K; return a[3];',
  'const o = { x: K, y: n }; for (let i = 0; i < n; i++) { o.x += o.y; o.y ^= i; } return o.x;',
  'const m = new Map(); for (let i = 0; i < n % 50; i++) m.set(i * K, i); return m.size;',
  'let f = 1.5; for (let i = 0; i < n; i++) f = Math.sqrt(f * K + i); return f;',
  'const a = []; for (let i = 0; i < n % 60; i++) a.push(i ^ K); return a.sort((x, y) => y - x)[0];',
];
const functions = Array.from(
  { length: 1400 },
  (_, k) => new Function('n', bodies[k % bodies.length].replaceAll('K', String(k + 3))),
);
let result = 0;
for (let round = 0; round < 12; round++) for (const f of functions) result = f(300 + round) ?? result;
for (const f of functions) for (let i = 0; i < 40; i++) f(400);
process.send?.('compiled');
setTimeout(() => console.log(result), 300_000);
