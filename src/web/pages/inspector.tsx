export const InspectorPage = ({ sessionId }: { sessionId: string | null }) => (
  <main id="main">inspector {sessionId}</main>
);
