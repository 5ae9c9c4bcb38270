import { findSandbox } from '../../src/tools/sandbox/sandbox.ts';

/** Whether commands can be confined on the machine of the tests. */
const found = findSandbox({ mode: 'auto', home: '/nowhere', own: [], readable: [], writable: [] });
export const hasSandbox = found.kind !== 'none';
/** For the name of a test that is skipped. */
export const noSandboxHere = hasSandbox ? '' : ` (skipped: ${found.why})`;
