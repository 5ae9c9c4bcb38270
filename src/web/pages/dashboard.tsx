export const DashboardPage = () => <main id="main">dashboard</main>;
