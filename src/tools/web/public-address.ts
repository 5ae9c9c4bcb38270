import { BlockList, isIP } from 'node:net';

/**
 * Which addresses are the open internet ([TL8]). Everything else is somebody's own: this machine, its network, the host that it
 * runs on, or a tunnel whose other end is one of those.
 */

/** Four numbers and the length of the prefix: RFC 6890 and its successors. */
const RESERVED_4: readonly (readonly [number, number, number, number, number])[] = [
  [0, 0, 0, 0, 8],
  [10, 0, 0, 0, 8],
  [100, 64, 0, 0, 10],
  [127, 0, 0, 0, 8],
  [169, 254, 0, 0, 16],
  [172, 16, 0, 0, 12],
  [192, 0, 0, 0, 24],
  [192, 0, 2, 0, 24],
  [192, 31, 196, 0, 24],
  [192, 52, 193, 0, 24],
  [192, 88, 99, 0, 24],
  [192, 168, 0, 0, 16],
  [192, 175, 48, 0, 24],
  [198, 18, 0, 0, 15],
  [198, 51, 100, 0, 24],
  [203, 0, 113, 0, 24],
  [224, 0, 0, 0, 4],
  [240, 0, 0, 0, 4],
];

/** Of the one block from which addresses are given out: special purposes with Teredo, documentation, 6to4. */
const RESERVED_6: readonly (readonly [string, number])[] = [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['2620:4f:8000::', 48],
  ['3fff::', 20],
];

const reserved = new BlockList();
for (const [a, b, c, d, bits] of RESERVED_4) reserved.addSubnet([a, b, c, d].join('.'), bits, 'ipv4');
const given6 = new BlockList();
given6.addSubnet('2000::', 3, 'ipv6');
const reserved6 = new BlockList();
for (const [net, bits] of RESERVED_6) reserved6.addSubnet(net, bits, 'ipv6');

/** An IPv6 address that stands for an IPv4 one is never public, whatever it stands for: it lies outside of what is given out. */
export const isPublicAddress = (address: string): boolean => {
  const family = isIP(address);
  if (family === 4) return !reserved.check(address, 'ipv4');
  // A zone belongs to one link.
  if (family !== 6 || address.includes('%')) return false;
  return given6.check(address, 'ipv6') && !reserved6.check(address, 'ipv6');
};
