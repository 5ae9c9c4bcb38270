import { transportContract } from './adapter-contract.ts';
import { uws } from './world.ts';

transportContract('uws', uws);
