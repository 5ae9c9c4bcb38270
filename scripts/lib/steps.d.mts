/** The same command in a network of its own that has loopback and nothing else, where the system lets us make one. */
export function alone(command: string, args: readonly string[]): { isAlone: boolean; command: string; args: string[] };
