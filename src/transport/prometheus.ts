/** The text format of Prometheus, version 0.0.4. */
export type Sample = [labels: { [name: string]: string } | '_sum' | '_count', value: number];

/** One metric with its head. Without a type, a name that ends in `_total` is a counter, any other a gauge. */
export const family = (
  name: string,
  type: 'counter' | 'gauge' | 'summary' | null,
  help: string,
  samples: readonly Sample[],
): string => {
  const lines = samples.map(([labels, value]) =>
    typeof labels === 'string' ? `${name}${labels} ${value}` : `${name}${labelText(labels)} ${value}`,
  );
  const kind = type ?? (name.endsWith('_total') ? 'counter' : 'gauge');
  return [`# HELP ${name} ${escaped(help)}`, `# TYPE ${name} ${kind}`, ...lines, ''].join('\n');
};

const labelText = (labels: { [name: string]: string }): string => {
  const pairs = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value).replaceAll('"', '\\"')}"`);
  return pairs.length === 0 ? '' : `{${pairs.join(',')}}`;
};

const escaped = (text: string): string => text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
