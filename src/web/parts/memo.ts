import { Component, type ComponentChild, type ComponentClass } from 'preact';

/** Drawn again only when a property is another value. What comes from a fold is immutable, so that is exact. */
export const memo = <P extends object>(draw: (props: P) => ComponentChild): ComponentClass<P> =>
  class extends Component<P> {
    override shouldComponentUpdate(next: Readonly<P>): boolean {
      const now = this.props as { [name: string]: unknown };
      const then = next as { [name: string]: unknown };
      const names = Object.keys(then);
      return names.length !== Object.keys(now).length || names.some((name) => now[name] !== then[name]);
    }
    override render(): ComponentChild {
      return draw(this.props as P);
    }
  };
