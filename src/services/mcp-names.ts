/** Names of served tools as a model sees them: `mcp__<server>__<tool>`, in the signs and the length that every server of models takes. */
const NAME_CHARS_MAX = 64;

const plain = (text: string): string => text.replace(/[^A-Za-z0-9_-]/g, '_');

/** One name for each, the same for the same list: what would be equal, or was cut, gets a number by its place. */
export const namesOf = (tools: readonly { server: string; tool: string }[]): string[] => {
  const taken = new Set<string>();
  return tools.map(({ server, tool }) => {
    const whole = `mcp__${plain(server)}__${plain(tool)}`;
    let name = whole.slice(0, NAME_CHARS_MAX);
    for (let n = 2; taken.has(name); n++) name = `${whole.slice(0, NAME_CHARS_MAX - 1 - String(n).length)}_${n}`;
    taken.add(name);
    return name;
  });
};
