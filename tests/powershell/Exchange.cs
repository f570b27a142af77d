// The exchange of Private/Transport.ps1, call by call, for machines without PowerShell: Send-TaskSpoolRequest is
// Module, and Invoke-RestMethod of Windows PowerShell 5.1 is Shell. Compiled by mcs, run by mono; .NET Core loads it, too.
// A line in: mode, method, address, seconds, headers (name=value, with | between), body (base64, or -), by tabs.
// A line out: status (0: no answer), Retry-After, Task-Status, Content-Type, body (base64; the error's text when 0).
using System;
using System.Diagnostics;
using System.IO;
using System.Net;
using System.Text;
using System.Threading.Tasks;

public static class Exchange
{
    public static void Main()
    {
        for (string line = Console.In.ReadLine(); line != null; line = Console.In.ReadLine())
        {
            Console.Out.WriteLine(Answer(line));
            Console.Out.Flush();
        }
    }

    public static string Answer(string line)
    {
        string[] parts = line.Split('\t');
        byte[] content = parts[5] == "-" ? null : Convert.FromBase64String(parts[5]);
        double seconds = double.Parse(parts[3], System.Globalization.CultureInfo.InvariantCulture);
        return parts[0] == "shell" ? Shell(parts[1], new Uri(parts[2]), parts[4], content, seconds)
                                   : Module(parts[1], new Uri(parts[2]), parts[4], content, seconds);
    }

    static string Module(string method, Uri uri, string headers, byte[] content, double seconds)
    {
        HttpWebRequest request = (HttpWebRequest)WebRequest.Create(uri);
        request.Method = method;
        request.Accept = "application/json";
        request.UserAgent = "TaskSpool-PowerShell/0.1.0";
        request.AllowAutoRedirect = false;
        request.ServicePoint.Expect100Continue = false;
        request.ReadWriteTimeout = (int)(1000 * seconds);
        if (uri.IsLoopback)
        {
            request.Proxy = null;
        }
        foreach (string pair in headers.Split(new[] { '|' }, StringSplitOptions.RemoveEmptyEntries))
        {
            request.Headers.Add(pair.Substring(0, pair.IndexOf('=')), pair.Substring(pair.IndexOf('=') + 1));
        }
        Stopwatch watch = Stopwatch.StartNew();
        string answer = null;
        try
        {
            if (content != null)
            {
                request.ContentType = "application/json; charset=utf-8";
                request.ContentLength = content.Length;
                Task<Stream> opening = request.GetRequestStreamAsync();
                Wait(opening, seconds);
                Stream stream = opening.GetAwaiter().GetResult();
                stream.Write(content, 0, content.Length);
                stream.Close();
            }
            Task<WebResponse> answering = request.GetResponseAsync();
            Wait(answering, seconds - watch.Elapsed.TotalSeconds);
            answer = Read((HttpWebResponse)answering.GetAwaiter().GetResult());
        }
        catch (WebException failure)
        {
            answer = Failed(failure);
        }
        finally
        {
            if (answer == null || answer.StartsWith("0\t"))
            {
                request.Abort();
            }
        }
        return answer;
    }

    static void Wait(Task task, double seconds)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!((IAsyncResult)task).AsyncWaitHandle.WaitOne(100))
        {
            if (watch.Elapsed.TotalSeconds > seconds)
            {
                throw new WebException("it took too long");
            }
        }
    }

    // As Invoke-RestMethod of 5.1 does it: "Expect: 100-continue", headers first, the body as it was handed over.
    static string Shell(string method, Uri uri, string headers, byte[] content, double seconds)
    {
        HttpWebRequest request = (HttpWebRequest)WebRequest.Create(uri);
        request.Method = method;
        request.UserAgent = "Mozilla/5.0 (Windows NT; Windows NT 10.0; en-US) WindowsPowerShell/5.1.22621.963";
        request.Timeout = (int)(1000 * seconds);
        try
        {
            if (content != null)
            {
                request.ContentType = headers;
                request.ContentLength = content.Length;
                Stream stream = request.GetRequestStream();
                stream.Write(content, 0, content.Length);
                stream.Close();
            }
            return Read((HttpWebResponse)request.GetResponse());
        }
        catch (WebException failure)
        {
            return Failed(failure);
        }
    }

    static string Failed(WebException failure)
    {
        if (failure.Response == null)
        {
            return "0\t\t\t\t" + Encoded(failure.Message);
        }
        return Read((HttpWebResponse)failure.Response);
    }

    static string Read(HttpWebResponse response)
    {
        StreamReader reader = new StreamReader(response.GetResponseStream(), Encoding.UTF8);
        try
        {
            return (int)response.StatusCode + "\t" + response.Headers.Get("Retry-After") + "\t"
                + response.Headers.Get("Task-Status") + "\t" + response.ContentType + "\t" + Encoded(reader.ReadToEnd());
        }
        finally
        {
            reader.Close();
            response.Close();
        }
    }

    static string Encoded(string text)
    {
        return Convert.ToBase64String(Encoding.UTF8.GetBytes(text));
    }
}
