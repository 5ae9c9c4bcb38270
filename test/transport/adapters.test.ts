import { transportContract } from './adapter-contract.ts';
import { uws, uwsMissing, ws } from './world.ts';

transportContract('uws', uws, uwsMissing);
transportContract('ws', ws, null);
