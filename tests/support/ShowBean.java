import com.sun.tools.attach.VirtualMachine;
import javax.management.MBeanAttributeInfo;
import javax.management.MBeanServerConnection;
import javax.management.ObjectName;
import javax.management.remote.JMXConnector;
import javax.management.remote.JMXConnectorFactory;
import javax.management.remote.JMXServiceURL;

/** Prints what JMX shows of a bean of another process, `name=value` on each line: `java ShowBean.java PID BEAN`. */
public final class ShowBean {
    public static void main(String[] arguments) throws Exception {
        VirtualMachine other = VirtualMachine.attach(arguments[0]);
        JMXServiceURL url = new JMXServiceURL(other.startLocalManagementAgent());
        ObjectName bean = new ObjectName(arguments[1]);
        try (JMXConnector connector = JMXConnectorFactory.connect(url)) {
            MBeanServerConnection server = connector.getMBeanServerConnection();
            for (MBeanAttributeInfo attribute : server.getMBeanInfo(bean).getAttributes()) {
                System.out.println(attribute.getName() + "=" + server.getAttribute(bean, attribute.getName()));
            }
        } finally {
            other.detach();
        }
    }
}
